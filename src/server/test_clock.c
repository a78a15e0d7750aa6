#include "server/test_clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/now.h"

// Where the clock of this store stood, in microseconds since 1970. STATUS_NOT_FOUND: it has never
// had a test clock.
static enum status find_kept(struct store *store, wall *ret)
{
    char kept[32];
    enum status status = store_get_setting(store, STORE_TEST_CLOCK, kept, sizeof kept);
    if (status == STATUS_OK)
        *ret = (wall){strtoll(kept, NULL, 10)};
    return status;
}

static enum status cannot_read(const struct store *store, char *why, size_t size)
{
    snprintf(why, size, "the store cannot be read: %s", store_problem(store));
    return STATUS_FAILED;
}

enum status test_clock_start(struct store *store, wall wanted, wall *ret, char *why, size_t size)
{
    wall kept = WALL_NONE;
    enum status status = find_kept(store, &kept);
    if (status != STATUS_OK && status != STATUS_NOT_FOUND)
        return cannot_read(store, why, size);
    wall start = wall_is_set(wanted) ? wanted : kept;
    if (!wall_is_set(start))
        start = (wall){wall_now().us / SECOND * SECOND};
    if (start.us < kept.us) {
        char stood[MOMENT_TEXT];
        wall_format(kept, stood);
        snprintf(why, size,
                 "the test clock of this store stands at %s and does not go back: start with that "
                 "moment or a later one, or with a new store",
                 stood);
        return STATUS_CONFLICT;
    }
    if (test_clock_keep(store, start) != STATUS_OK)
        return cannot_read(store, why, size);
    *ret = start;
    return STATUS_OK;
}

enum status test_clock_refuse(struct store *store, char *why, size_t size)
{
    wall kept;
    enum status status = find_kept(store, &kept);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status != STATUS_OK)
        return cannot_read(store, why, size);
    snprintf(why, size,
             "the store was made with a test clock, whose moments were none of the world's: start "
             "with --test-clock, or choose another store with --store");
    return STATUS_CONFLICT;
}

enum status test_clock_keep(struct store *store, wall now)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRId64, now.us);
    return store_keep_setting(store, STORE_TEST_CLOCK, text);
}
