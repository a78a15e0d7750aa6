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
    status = store_begin(store);
    if (status == STATUS_OK)
        status = store_put_setting(store, SETTING, secret);
    if (status == STATUS_OK)
        return store_commit(store);
    store_rollback(store);
    return status;
}

int secret_command(int argc, char **argv)
{
    const char *path = "punctual.db";
    bool show = argc > 1 && strcmp(argv[1], "show") == 0;
    if (getenv("PUNCTUAL_STORE"))
        path = getenv("PUNCTUAL_STORE");
    if (show && argc == 4 && strcmp(argv[2], "--store") == 0)
        path = argv[3];
    else if (!show || argc != 2) {
        fputs("punctual: usage: punctual secret show [--store PATH]\n", stderr);
        return EXIT_USAGE;
    }
    struct reader *reader = NULL;
    char why[512], *secret = NULL;
    enum status status = reader_open_sqlite(path, &reader, why, sizeof why);
    if (status == STATUS_OK)
        status = reader_get_setting(reader, SETTING, &secret);
    if (status == STATUS_OK)
        puts(secret);
    else if (status == STATUS_NOT_FOUND)
        fprintf(stderr,
                "punctual: %s holds no secret: it comes from PUNCTUAL_SIGNING_SECRET or the "
                "configuration, or the server has not started yet\n",
                path);
    else
        fprintf(stderr, "punctual: %s\n", why);
    free(secret);
    reader_close(reader);
    return status == STATUS_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
