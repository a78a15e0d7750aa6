// The small words of base/ that are too small for a file each.
#include "base/buffer.h"
#include "base/heap.h"
#include "base/id.h"
#include "base/mailbox.h"
#include "base/map.h"
#include "base/random.h"
#include "base/writer.h"

#include "test.h"

TEST(a_buffer_keeps_its_limit)
{
    struct buffer b;
    buffer_init(&b, 5);
    buffer_text(&b, "abc");
    buffer_text(&b, "def");
    CHECK(b.overflow);
    CHECK_TEXT("abc", buffer_string(&b));
    buffer_text(&b, "de");
    CHECK_TEXT("abcde", buffer_string(&b));
    CHECK(b.overflow);
    buffer_done(&b);
}

TEST(a_writer_puts_commas_and_escapes)
{
    struct buffer b;
    buffer_init(&b, 1000);
    struct writer w = writer_on(&b);
    writer_object(&w);
    writer_key(&w, "a");
    writer_text(&w, "q\"\\\n\x01\x7f\xc3\xa9\xff");
    writer_key(&w, "b");
    writer_array(&w);
    writer_int(&w, INT64_MIN);
    writer_ms(&w, 1050);
    writer_ms(&w, -1);
    writer_bool(&w, false);
    writer_end_array(&w);
    writer_end_object(&w);
    CHECK_TEXT("{\"a\":\"q\\\"\\\\\\n\\u0001\\u007f\xc3\xa9\xef\xbf\xbd\",\"b\":[-"
               "9223372036854775808,1.050,null,false]}",
               buffer_string(&b));
    buffer_done(&b);
}

TEST(ids_grow_even_when_the_clock_does_not)
{
    struct id_maker maker = {0};
    wall now = {1774746000 * SECOND};
    run_id first = id_next(&maker, now), second = id_next(&maker, now);
    run_id third = id_next(&maker, (wall){now.us - HOUR});
    CHECK(first.value < second.value && second.value < third.value);
    CHECK_INT(now.us, id_time(first).us);
}

TEST(an_id_reads_back_from_its_text_and_sorts_like_it)
{
    run_id a = {INT64_C(0x0123456789abcdef)}, b = {a.value + 1}, back;
    char ta[RUN_ID_TEXT], tb[RUN_ID_TEXT];
    run_id_format(a, ta);
    run_id_format(b, tb);
    CHECK(strcmp(ta, tb) < 0);
    CHECK_INT(STATUS_OK, run_id_parse(ta, &back));
    CHECK_INT(a.value, back.value);
    static const char *const bad[] = {"",
                                      "run_",
                                      "run_0",
                                      "run_0000000000000",
                                      "run_zzzzzzzzzzzzz",
                                      "run_0123456789abu",
                                      "job_0c4x9k2m1p7qz",
                                      "run_0c4x9k2m1p7qz0"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        test_row = bad[i];
        CHECK_INT(STATUS_INVALID, run_id_parse(bad[i], &back));
    }
}

TEST(a_map_finds_what_was_put_and_not_what_was_removed)
{
    struct map m = {0};
    static int values[2000];
    struct random chance;
    random_seed(&chance, 1);
    bool in[2000] = {0};
    for (int i = 0; i < 20000; i++) {
        uint64_t key = (uint64_t)random_below(&chance, 2000);
        if (random_below(&chance, 2)) {
            map_put(&m, key, &values[key]);
            in[key] = true;
        } else {
            CHECK((map_remove(&m, key) != NULL) == in[key]);
            in[key] = false;
        }
    }
    size_t count = 0;
    for (uint64_t key = 0; key < 2000; key++) {
        CHECK(map_get(&m, key) == (in[key] ? &values[key] : NULL));
        count += in[key];
    }
    CHECK_INT(count, m.count);
    map_done(&m);
}

TEST(a_heap_gives_by_key_then_by_order)
{
    struct heap h = {0};
    struct random chance;
    random_seed(&chance, 2);
    for (uint64_t i = 0; i < 5000; i++)
        heap_add(&h, (struct heap_entry){random_below(&chance, 100), i, i});
    struct heap_entry last = {-1, 0, 0}, next;
    size_t count = 0;
    for (; heap_take(&h, &next); last = next, count++)
        CHECK(next.key > last.key || (next.key == last.key && next.order > last.order));
    CHECK_INT(5000, count);
    heap_done(&h);
}

TEST(letters_arrive_in_the_order_posted)
{
    struct mailbox box;
    mailbox_init(&box);
    struct letter a, b, c;
    mailbox_post(&box, &a);
    b.next = &c;
    c.next = NULL;
    mailbox_post_all(&box, &b);
    struct letter *first = mailbox_take(&box);
    CHECK(first == &a && a.next == &b && b.next == &c && !c.next);
    CHECK(!mailbox_take(&box));
    mailbox_done(&box);
}

TESTS_MAIN
