// The coming occurrences of a task with several schedules.
#include "core/upcoming.h"

#include "test.h"

#define SPRING \
    (INT64_C(1774746000) * SECOND) // 2026-03-29T01:00:00Z: 02:00 to 03:00 are not there in Berlin

static struct task *task_of(const char *text)
{
    struct task *task = NULL;
    CHECK_INT(STATUS_OK, task_decode_text("job", text, strlen(text), &task));
    return task;
}

TEST(an_instant_that_two_schedules_mean_is_one_occurrence)
{
    struct task *task = task_of("{\"schedule\":[{\"every\":\"1h\"},{\"every\":\"40m\"}],"
                                "\"http\":{\"url\":\"http://127.0.0.1:9/\"}}");
    static const int minutes[] = {40, 60, 80, 120, 160, 180};
    struct upcoming coming;
    struct upcoming_item item;
    upcoming_begin(&coming, task, (wall){0});
    for (size_t i = 0; i < sizeof minutes / sizeof *minutes; i++) {
        CHECK(upcoming_next(&coming, &item));
        CHECK_INT(minutes[i], item.nominal.us / MINUTE);
    }
    task_drop(task);
}

TEST(a_time_skipped_in_a_gap_gives_way_to_another_schedule)
{
    struct task *task = task_of("{\"schedule\":[{\"cron\":\"30 2 * * "
                                "*\",\"timezone\":\"Europe/Berlin\",\"dst_gap\":\"skip\"},"
                                "{\"cron\":\"0 3 * * *\",\"timezone\":\"Europe/Berlin\"}],"
                                "\"http\":{\"url\":\"http://127.0.0.1:9/\"}}");
    struct upcoming coming;
    struct upcoming_item item;
    upcoming_begin(&coming, task, (wall){SPRING - 1});
    CHECK(upcoming_next(&coming, &item));
    CHECK_INT(SPRING, item.nominal.us);
    CHECK_INT(1, item.schedule);
    CHECK_INT(DST_NONE, item.dst);
    CHECK(upcoming_next(&coming, &item));
    CHECK(item.nominal.us > SPRING);
    task_drop(task);
}

TEST(what_has_schedules_and_none_that_comes_again_never_comes)
{
    static const struct {
        const char *definition;
        bool never;
    } rows[] = {
        {"{\"schedule\":{\"at\":\"2026-03-29T01:00:00Z\"}", true},
        {"{\"schedule\":{\"at\":\"2026-03-29T01:00:01Z\"}", false},
        {"{\"schedule\":{\"cron\":\"0 0 12 1 1 * 2025\"}", true},
        {"{\"schedule\":[{\"cron\":\"0 0 12 1 1 * 2025\"},{\"every\":\"1h\"}]", false},
        {"{\"summary\":\"no schedule\"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[300];
        snprintf(text, sizeof text, "%s,\"http\":{\"url\":\"http://127.0.0.1:9/\"}}",
                 rows[i].definition);
        test_row = rows[i].definition;
        struct task *task = task_of(text);
        CHECK_INT(rows[i].never, upcoming_never(task, (wall){SPRING}));
        task_drop(task);
    }
}

TESTS_MAIN
