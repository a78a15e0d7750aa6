#include "memory.h"

#include <sqlite3.h>
#include <stdlib.h>

static sqlite3_mem_methods own;
static int64_t count, strikes_at; // strikes_at 0: nothing is refused
static bool forever;
static bool *struck;

static bool refuses(void)
{
    if (!strikes_at)
        return false;
    count++;
    if (count != strikes_at && !(forever && count > strikes_at))
        return false;
    *struck = true;
    return true;
}

static void *take(int size)
{
    return refuses() ? NULL : own.xMalloc(size);
}

static void *resize(void *old, int size)
{
    return refuses() ? NULL : own.xRealloc(old, size);
}

void memory_register(void)
{
    sqlite3_config(SQLITE_CONFIG_GETMALLOC, &own);
    sqlite3_mem_methods methods = own;
    methods.xMalloc = take;
    methods.xRealloc = resize;
    if (sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) != SQLITE_OK ||
        sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK)
        abort();
}

void memory_arm(int64_t nth, bool all, bool *ret_struck)
{
    count = 0;
    strikes_at = nth;
    forever = all;
    struck = ret_struck;
}

void memory_disarm(void)
{
    strikes_at = 0;
}
