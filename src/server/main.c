// punctual: the server and its command line in one program.
#include "cli/cli.h"
#include "server/backup.h"
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
    {.name = "backup",
     .usage = "backup TO [--store PATH]",
     .summary = "copy the server's store to a file, while it runs",
     .run = backup_command,
     .options = backup_options,
     .about = "The copy is of one moment. It is verified and synced before it gets its name, and "
              "never written over anything. It holds payloads and the signing secret: keep it "
              "where only you can read it.",
     .examples =
         "punctual backup --store /var/lib/punctual/punctual.db /backup/punctual-$(date +%F)"
         "\n"},
    {.name = "restore",
     .usage = "restore FROM [--store PATH] [--force]",
     .summary = "make the store of a backup; the server must not run",
     .run = restore_command,
     .options = restore_options,
     .about = "Attempts that were under way when the backup was taken count as lost at the next "
              "start, and what was due since then is handled as after an outage. Workers from "
              "before are refused. A store that is there stays, unless --force moves it aside.",
     .examples =
         "punctual restore /backup/punctual-2026-03-29 --store /var/lib/punctual/punctual.db"
         "\n"},
};

int main(int argc, char **argv)
{
    return cli_main(argc, argv, roof, sizeof roof / sizeof *roof);
}
