#include "cli/file.h"

#include <stdio.h>
#include <string.h>

enum status file_read(const char *path, struct buffer *ret, char *why, size_t size)
{
    bool standard_input = strcmp(path, "-") == 0;
    buffer_init(ret, FILE_MAX);
    FILE *file = standard_input ? stdin : fopen(path, "re");
    if (!file) {
        snprintf(why, size, "cannot read %s: %m", path);
        return STATUS_FAILED;
    }
    char piece[1 << 16];
    size_t length;
    while (!ret->overflow && (length = fread(piece, 1, sizeof piece, file)) > 0)
        buffer_add(ret, piece, length);
    enum status status = STATUS_OK;
    if (ferror(file)) {
        snprintf(why, size, "cannot read %s: %m", path);
        status = STATUS_FAILED;
    } else if (ret->overflow) {
        snprintf(why, size, "%s is larger than %zu MiB", path, FILE_MAX >> 20);
        status = STATUS_TOO_LARGE;
    }
    if (!standard_input)
        fclose(file);
    return status;
}
