#include "server/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/signature.h"
#include "store/reader.h"

#define SETTING "signing_secret"
#define EXIT_USAGE 2

enum status secret_find_or_make(struct store *store, char secret[static SECRET_TEXT])
{
    enum status status = store_get_setting(store, SETTING, secret, SECRET_TEXT);
    if (status != STATUS_NOT_FOUND)
        return status;
    char *made = signing_secret_new();
    snprintf(secret, SECRET_TEXT, "%s", made);
    free(made);
    return store_keep_setting(store, SETTING, secret);
}

static const char help[] =
    "punctual secret - show the secret that deliveries are signed with\n"
    "\n"
    "  punctual secret show [--store PATH]\n"
    "\n"
    "  --store PATH  the server's database file; else PUNCTUAL_STORE, else punctual.db\n"
    "  --help        show this\n"
    "\n"
    "It was made at the server's first start and is read from the server's file. Where\n"
    "PUNCTUAL_SIGNING_SECRET or the configuration sets a secret, that one signs.\n";

// The path behind --store, if the arguments are that; NULL if they are something else.
static const char *store_of(int argc, char **argv)
{
    const char *path = getenv("PUNCTUAL_STORE");
    if (argc == 0)
        return path ? path : "punctual.db";
    if (argc == 1 && strncmp(argv[0], "--store=", 8) == 0)
        return argv[0] + 8;
    return argc == 2 && strcmp(argv[0], "--store") == 0 ? argv[1] : NULL;
}

static int show_secret(const char *path)
{
    struct reader *reader = NULL;
    char why[512], *secret = NULL;
    enum status status = reader_open_sqlite(path, &reader, why, sizeof why);
    bool opened = status == STATUS_OK;
    if (opened)
        status = reader_get_setting(reader, SETTING, &secret);
    if (status == STATUS_OK)
        puts(secret);
    else if (opened && status == STATUS_NOT_FOUND)
        fprintf(stderr,
                "punctual: %s holds no secret: it comes from PUNCTUAL_SIGNING_SECRET or the "
                "configuration, or the server has not started yet\n",
                path);
    else
        fprintf(stderr,
                "punctual: %s\n  --store PATH or PUNCTUAL_STORE names the server's database file\n",
                opened ? status_text(status) : why);
    free(secret);
    reader_close(reader);
    return status == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int secret_command(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    bool show = argc > 1 && strcmp(argv[1], "show") == 0;
    const char *path = show ? store_of(argc - 2, argv + 2) : NULL;
    if (path)
        return show_secret(path);
    fputs("punctual: usage: punctual secret show [--store PATH]\n", stderr);
    return EXIT_USAGE;
}
