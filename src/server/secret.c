#include "server/secret.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch/signature.h"
#include "store/reader.h"

#define SETTING "signing_secret"

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
