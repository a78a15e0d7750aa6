// Tasks, their revisions, inline definitions and cursors.
#include "suite.h"

static struct task_record record_of(const char *name, const char *definition)
{
    return (struct task_record){.name = memory_text(name),
                                .generation = 1,
                                .paused_at = WALL_NONE,
                                .created_at = WALL_NONE,
                                .definition = memory_text(definition),
                                .definition_size = strlen(definition)};
}

static const struct edit plain = {.at = {T0}, .changed = "[]"};

static void redefine(struct task_record *record, const char *definition)
{
    free(record->definition);
    record->definition = memory_text(definition);
    record->definition_size = strlen(definition);
}

TEST(a_saved_task_is_found_by_name_and_by_row)
{
    struct store *store = suite_new();
    struct task_record record = record_of("nightly", "{\"u\":\"\xc3\xbc\xf0\x9f\x95\x90\"}"), found;
    record.generation = 3;
    record.paused_at = at(7);
    record.paused_by = memory_text("ann");
    record.paused_why = memory_text("holidays \"\xe2\x9c\x93\"");
    BEGIN();
    OK(store_save_task(store, &record, &plain));
    COMMIT();
    CHECK(record.id > 0 && record.revision_id > 0);
    CHECK_INT(1, record.revision);
    CHECK_INT(T0, record.created_at.us);
    store = suite_again(store);
    for (int way = 0; way < 2; way++) {
        OK(way ? store_find_task_by_id(store, record.id, &found)
               : store_find_task(store, "nightly", &found));
        CHECK_INT(record.id, found.id);
        CHECK_TEXT("nightly", found.name);
        CHECK_INT(1, found.revision);
        CHECK_INT(record.revision_id, found.revision_id);
        CHECK_INT(3, found.generation);
        CHECK(!found.deleted);
        CHECK_INT(at(7).us, found.paused_at.us);
        CHECK_TEXT("ann", found.paused_by);
        CHECK_TEXT("holidays \"\xe2\x9c\x93\"", found.paused_why);
        CHECK_INT(T0, found.created_at.us);
        CHECK_INT(T0, found.changed_at.us);
        CHECK_TEXT(record.definition, found.definition);
        CHECK_INT(strlen(record.definition), found.definition_size);
        task_record_done(&found);
    }
    CHECK_INT(STATUS_NOT_FOUND, store_find_task(store, "nightl", &found));
    CHECK_INT(STATUS_NOT_FOUND, store_find_task_by_id(store, record.id + 1, &found));
    task_record_done(&record);
    store_close(store);
}

TEST(each_edit_makes_the_next_revision_and_keeps_the_others)
{
    struct store *store = suite_new();
    struct task_record record = record_of("t", "{\"v\":1}"), found;
    struct edit later = {.at = at(60), .author = "ann", .note = "why", .changed = "[{}]"};
    char *definition = NULL;
    size_t size = 0;
    BEGIN();
    OK(store_save_task(store, &record, &plain));
    int64_t first = record.revision_id;
    redefine(&record, "{\"v\":2}");
    OK(store_save_task(store, &record, &later));
    COMMIT();
    CHECK_INT(2, record.revision);
    CHECK(record.revision_id != first);
    OK(store_find_task(store, "t", &found));
    CHECK_TEXT("{\"v\":2}", found.definition);
    CHECK_INT(T0, found.created_at.us);
    CHECK_INT(at(60).us, found.changed_at.us);
    CHECK_INT(INT64_MIN, found.paused_at.us);
    CHECK(!found.paused_by && !found.paused_why);
    task_record_done(&found);
    OK(store_find_revision(store, record.id, 1, &definition, &size));
    CHECK_TEXT("{\"v\":1}", definition);
    CHECK_INT(7, size);
    free(definition);
    CHECK_INT(STATUS_NOT_FOUND, store_find_revision(store, record.id, 3, &definition, &size));
    CHECK_INT(STATUS_NOT_FOUND, store_find_revision(store, record.id + 1, 1, &definition, &size));
    task_record_done(&record);
    store_close(store);
}

TEST(a_name_that_is_taken_and_a_revision_that_is_there_conflict)
{
    struct store *store = suite_new();
    struct task_record record = record_of("t", "{}"), twin = record_of("t", "{\"x\":1}");
    BEGIN();
    OK(store_save_task(store, &record, &plain));
    CHECK_INT(STATUS_CONFLICT, store_save_task(store, &twin, &plain));
    CHECK_INT(0, twin.id);
    CHECK_INT(0, twin.revision);
    record.revision = 0; // as one who looked at an older state
    CHECK_INT(STATUS_CONFLICT, store_save_task(store, &record, &plain));
    COMMIT();
    task_record_done(&record);
    task_record_done(&twin);
    store_close(store);
}

TEST(a_deleted_task_is_found_keeps_its_name_and_counts_on)
{
    struct store *store = suite_new();
    struct task_record record = record_of("t", "{}"), found;
    BEGIN();
    OK(store_save_task(store, &record, &plain));
    record.deleted = true;
    record.generation = 2;
    OK(store_mark_task(store, &record, "deleted", &(struct edit){.at = at(5)}));
    COMMIT();
    OK(store_find_task(store, "t", &found));
    CHECK(found.deleted);
    CHECK_INT(1, found.revision);
    CHECK_INT(2, found.generation);
    CHECK_INT(at(5).us, found.changed_at.us);
    CHECK_INT(STATUS_END, store_next_task(store, "", &(struct task_record){0}));
    found.deleted = false;
    BEGIN();
    OK(store_save_task(store, &found, &plain));
    COMMIT();
    CHECK_INT(2, found.revision);
    CHECK_INT(record.id, found.id);
    task_record_done(&found);
    task_record_done(&record);
    store_close(store);
}

TEST(marking_a_task_that_is_not_there_is_not_found)
{
    struct store *store = suite_new();
    struct task_record record = {.id = 77, .paused_at = WALL_NONE};
    BEGIN();
    CHECK_INT(STATUS_NOT_FOUND, store_mark_task(store, &record, "paused", &plain));
    record.name = "t";
    record.definition = "{}";
    record.definition_size = 2;
    CHECK_INT(STATUS_NOT_FOUND, store_save_task(store, &record, &plain));
    COMMIT();
    store_close(store);
}

TEST(a_walk_meets_every_task_once_in_the_order_of_names)
{
    struct store *store = suite_new();
    static const char *const names[] = {"b", "a.b", "a", "a-b", "z", "0"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        a_task(store, names[i]);
    char seen[100] = "", after[100] = "";
    struct task_record found;
    enum status status;
    while ((status = store_next_task(store, after, &found)) == STATUS_OK) {
        strcat(strcat(seen, found.name), " ");
        strcpy(after, found.name);
        task_record_done(&found);
    }
    CHECK_INT(STATUS_END, status);
    CHECK_TEXT("0 a a-b a.b b z ", seen);
    store_close(store);
}

TEST(an_inline_definition_is_kept_once)
{
    struct store *store = suite_new();
    int64_t a = 0, b = 0, again = 0;
    char *name = NULL, *definition = NULL;
    size_t size = 0;
    BEGIN();
    OK(store_keep_definition(store, "{\"a\":1}", 7, at(0), &a));
    OK(store_keep_definition(store, "{\"a\":2}", 7, at(0), &b));
    OK(store_keep_definition(store, "{\"a\":1}", 7, at(9), &again));
    COMMIT();
    CHECK(a > 0 && b > 0 && a != b);
    CHECK_INT(a, again);
    store = suite_again(store);
    OK(store_keep_definition(store, "{\"a\":2}", 7, at(0), &again));
    CHECK_INT(b, again);
    OK(store_load_definition(store, a, &name, &definition, &size));
    CHECK(!name);
    CHECK_TEXT("{\"a\":1}", definition);
    CHECK_INT(7, size);
    free(definition);
    store_close(store);
}

TEST(a_definition_of_a_task_comes_with_its_name_and_is_not_an_inline_one)
{
    struct store *store = suite_new();
    struct task_record record = record_of("t", "{\"a\":1}");
    char *name = NULL, *definition = NULL;
    size_t size = 0;
    int64_t inline_id = 0;
    BEGIN();
    OK(store_save_task(store, &record, &plain));
    OK(store_keep_definition(store, "{\"a\":1}", 7, at(0), &inline_id));
    COMMIT();
    CHECK(inline_id != record.revision_id);
    OK(store_load_definition(store, record.revision_id, &name, &definition, &size));
    CHECK_TEXT("t", name);
    CHECK_TEXT("{\"a\":1}", definition);
    free(name);
    free(definition);
    CHECK_INT(STATUS_NOT_FOUND, store_load_definition(store, 999, &name, &definition, &size));
    task_record_done(&record);
    store_close(store);
}

// --- cursors ---

static const struct cursor from_the_start = {.next_at = {INT64_MIN}};

TEST(cursors_come_by_time_then_task_then_schedule_up_to_the_limit)
{
    struct store *store = suite_new();
    static const struct cursor cursors[] = {
        {.task = 2, .schedule = 0, .generation = 4, .next_at = {T0 + 5}, .dst = 2},
        {.task = 1, .schedule = 1, .generation = 1, .next_at = {T0 + 5}},
        {.task = 1, .schedule = 0, .generation = 1, .next_at = {T0 + 5}},
        {.task = 9, .schedule = 0, .generation = 1, .next_at = {T0 + 1}},
        {.task = 8, .schedule = 0, .generation = 1, .next_at = {INT64_MAX}}, // none left
        {.task = 7, .schedule = 0, .generation = 1, .next_at = {T0 + 6}},
    };
    static const int64_t expected[][2] = {{9, 0}, {1, 0}, {1, 1}, {2, 0}};
    BEGIN();
    for (size_t i = 0; i < sizeof cursors / sizeof *cursors; i++)
        OK(store_put_cursor(store, &cursors[i]));
    COMMIT();
    store = suite_again(store);
    for (size_t page = 1; page <= 5; page++) {
        struct cursor found[5], after = from_the_start;
        size_t seen = 0, count;
        do {
            OK(store_load_cursors(store, &after, (wall){T0 + 5}, page, found, &count));
            for (size_t i = 0; i < count; i++, seen++) {
                CHECK(seen < 4);
                CHECK_INT(expected[seen][0], found[i].task);
                CHECK_INT(expected[seen][1], found[i].schedule);
                after = found[i];
            }
        } while (count == page);
        CHECK_INT(4, seen);
        CHECK_INT(4, after.generation);
        CHECK_INT(2, after.dst);
        CHECK_INT(T0 + 5, after.next_at.us);
    }
    store_close(store);
}

TEST(a_cursor_is_replaced_and_dropped_with_its_task)
{
    struct store *store = suite_new();
    struct cursor cursor = {.task = 1, .next_at = at(5)}, other = {.task = 2, .next_at = at(6)},
                  found[4];
    size_t count = 0;
    BEGIN();
    OK(store_put_cursor(store, &cursor));
    OK(store_put_cursor(store, &other));
    cursor.next_at = at(7);
    cursor.generation = 2;
    OK(store_put_cursor(store, &cursor));
    OK(store_load_cursors(store, &from_the_start, WALL_NEVER, 4, found, &count));
    CHECK_INT(2, count);
    CHECK_INT(2, found[0].task);
    CHECK_INT(at(7).us, found[1].next_at.us);
    CHECK_INT(2, found[1].generation);
    cursor.next_at = WALL_NEVER;
    OK(store_put_cursor(store, &cursor));
    OK(store_load_cursors(store, &from_the_start, WALL_NEVER, 4, found, &count));
    CHECK_INT(1, count);
    OK(store_drop_cursors(store, 2));
    OK(store_drop_cursors(store, 3)); // none: fine
    OK(store_load_cursors(store, &from_the_start, WALL_NEVER, 4, found, &count));
    CHECK_INT(0, count);
    COMMIT();
    store_close(store);
}

TESTS_MAIN
