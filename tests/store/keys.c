// Idempotency keys and the journal of events.
#include "suite.h"

TEST(a_key_gives_its_answer_until_it_expires)
{
    struct store *store = suite_new();
    uint64_t fingerprint = 0;
    char *body = NULL;
    size_t size = 0;
    BEGIN();
    OK(store_keep_key(store, "k", UINT64_MAX, "{\"a\":\0}", 7, at(60)));
    OK(store_keep_key(store, "empty", 1, NULL, 0, at(60)));
    COMMIT();
    store = suite_again(store);
    OK(store_find_key(store, "k", (wall){at(60).us - 1}, &fingerprint, &body, &size));
    CHECK(fingerprint == UINT64_MAX);
    CHECK_INT(7, size);
    CHECK(memcmp(body, "{\"a\":\0}", 7) == 0);
    free(body);
    OK(store_find_key(store, "empty", at(0), &fingerprint, &body, &size));
    CHECK_INT(0, size);
    CHECK_TEXT("", body);
    free(body);
    CHECK_INT(STATUS_NOT_FOUND, store_find_key(store, "k", at(60), &fingerprint, &body, &size));
    CHECK_INT(STATUS_NOT_FOUND, store_find_key(store, "K", at(0), &fingerprint, &body, &size));
    store_close(store);
}

TEST(an_expired_key_that_comes_again_is_a_new_one)
{
    struct store *store = suite_new();
    uint64_t fingerprint = 0;
    char *body = NULL;
    size_t size = 0;
    BEGIN();
    OK(store_keep_key(store, "k", 1, "old", 3, at(60)));
    OK(store_keep_key(store, "k", 2, "new one", 7, at(160)));
    OK(store_find_key(store, "k", at(100), &fingerprint, &body, &size));
    COMMIT();
    CHECK_INT(2, fingerprint);
    CHECK_TEXT("new one", body);
    free(body);
    store_close(store);
}

TEST(clearing_takes_the_earliest_expired_keys_and_no_live_one)
{
    struct store *store = suite_new();
    char name[20];
    BEGIN();
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "k%d", i);
        OK(store_keep_key(store, name, 1, "x", 1, at(i * 7 % 10)));
    }
    OK(store_clear_keys(store, at(6), 3)); // expired: 0 to 6; gone: 0, 1, 2
    COMMIT();
    for (int i = 0; i < 10; i++) {
        uint64_t fingerprint;
        char *body;
        size_t size;
        snprintf(name, sizeof name, "k%d", i);
        test_row = name;
        enum status status = store_find_key(store, name, at(-1), &fingerprint, &body, &size);
        CHECK_INT(i * 7 % 10 < 3 ? STATUS_NOT_FOUND : STATUS_OK, status);
        if (status == STATUS_OK)
            free(body);
    }
    test_row = "";
    store_close(store);
}

// --- journal ---

static void add_turns(struct store *store, int64_t from, int64_t to, size_t bytes)
{
    char events[1000];
    memset(events, 'e', sizeof events);
    BEGIN();
    for (int64_t turn = from; turn <= to; turn++)
        OK(store_add_journal(store, turn, at(turn), events, bytes));
    COMMIT();
}

static void check_range(int64_t oldest, int64_t newest)
{
    struct reader *reader = suite_reader();
    int64_t first = -1, last = -1;
    OK(reader_journal_range(reader, &first, &last));
    CHECK_INT(oldest, first);
    CHECK_INT(newest, last);
    reader_close(reader);
}

TEST(the_journal_reads_in_order_from_any_turn)
{
    struct store *store = suite_new();
    struct reader *reader = suite_reader();
    struct journal_row rows[3];
    size_t count;
    check_range(0, 0);
    BEGIN();
    OK(store_add_journal(store, 7, at(0), "{\"\xc3\xa4\":1}\n{}\n", 12));
    OK(store_add_journal(store, 9, at(1), "{}\n", 3));
    OK(store_add_journal(store, 10, at(1), "", 0));
    COMMIT();
    check_range(7, 10);
    OK(reader_read_journal(reader, 0, 2, rows, &count));
    CHECK_INT(2, count);
    CHECK_INT(7, rows[0].turn);
    CHECK_INT(12, rows[0].size);
    CHECK_TEXT("{\"\xc3\xa4\":1}\n{}\n", rows[0].events);
    CHECK_INT(9, rows[1].turn);
    free(rows[0].events);
    free(rows[1].events);
    OK(reader_read_journal(reader, 9, 2, rows, &count));
    CHECK_INT(1, count);
    CHECK_INT(10, rows[0].turn);
    CHECK_TEXT("", rows[0].events);
    free(rows[0].events);
    OK(reader_read_journal(reader, 10, 2, rows, &count));
    CHECK_INT(0, count);
    reader_close(reader);
    store_close(store);
}

TEST(trimming_forgets_the_oldest_turns_beyond_a_number_of_bytes)
{
    static const struct {
        size_t keep, max;
        int64_t oldest;
    } rows[] = {
        {SIZE_MAX, 100, 1}, {1000, 100, 1},              // ten turns of 100 bytes: all fit
        {999, 100, 2},      {500, 100, 6},  {500, 3, 4}, // no more than three at once
        {100, 100, 10},     {0, 100, 10}, // the newest always stays: the next number follows it
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char row[30];
        snprintf(row, sizeof row, "row %zu", i);
        test_row = row;
        struct store *store = suite_new();
        add_turns(store, 1, 10, 100);
        BEGIN();
        OK(store_trim_journal(store, rows[i].keep, rows[i].max));
        COMMIT();
        check_range(rows[i].oldest, 10);
        store_close(store);
    }
    test_row = "";
}

TEST(trimming_again_and_again_keeps_the_journal_bounded)
{
    struct store *store = suite_new();
    BEGIN();
    OK(store_trim_journal(store, 10, 10)); // empty: fine
    COMMIT();
    for (int64_t turn = 1; turn <= 30; turn++) {
        add_turns(store, turn, turn, (size_t)(turn * 10));
        BEGIN();
        OK(store_trim_journal(store, 600, 2));
        COMMIT();
        if (turn == 15)
            store = suite_again(store);
    }
    check_range(29, 30); // 290 + 300 bytes
    store_close(store);
}

TESTS_MAIN
