// punctual: the server and its command line in one program.
#include "cli/cli.h"
#include "server/secret.h"
#include "server/serve.h"

static const struct command roof[] = {
    {.name = "serve",
     .usage = "serve [--listen ADDRESS] [--store PATH] [--apply FILE] [--config FILE]",
     .summary = "run the server",
     .run = serve_command},
    {.name = "secret",
     .usage = "secret show [--store PATH]",
     .summary = "show the secret that deliveries are signed with",
     .run = secret_command},
};

int main(int argc, char **argv)
{
    return cli_main(argc, argv, roof, sizeof roof / sizeof *roof);
}
