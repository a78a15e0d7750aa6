#include "sim/question.h"

#include <stddef.h>
#include <stdlib.h>

#define QUESTIONS_MAX 64

static struct prepared {
    sqlite3 *handle;
    const char *text;
    sqlite3_stmt *statement;
} prepared[QUESTIONS_MAX];
static size_t prepared_count;

sqlite3_stmt *question(sqlite3 *handle, const char *text)
{
    for (size_t i = 0; i < prepared_count; i++)
        if (prepared[i].handle == handle && prepared[i].text == text)
            return prepared[i].statement;
    if (prepared_count == QUESTIONS_MAX)
        abort(); // a text that is made anew each time
    sqlite3_stmt *statement;
    if (sqlite3_prepare_v3(handle, text, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) !=
        SQLITE_OK)
        return NULL;
    prepared[prepared_count++] = (struct prepared){handle, text, statement};
    return statement;
}

void question_end(sqlite3_stmt *question)
{
    sqlite3_reset(question);
}

void questions_end(sqlite3 *handle)
{
    size_t kept = 0;
    for (size_t i = 0; i < prepared_count; i++)
        if (prepared[i].handle == handle)
            sqlite3_finalize(prepared[i].statement);
        else
            prepared[kept++] = prepared[i];
    prepared_count = kept;
}
