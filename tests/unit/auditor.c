// The auditor finds whatever does not fit: damage is planted in a store, row by row.
#include "letters.h"
#include "store/audit.h"

#define EVERY "{\"schedule\":{\"every\":\"10m\"}," ONCE "}"

// Everything until a moment ago. Free the audit and close the reader.
static struct audit *audit_all(struct reader *reader, const char *task)
{
    struct audit_options wanted = {
        .from = {T0}, .to = wall_plus(now, -5 * SECOND), .task = task, .count_most = 1000000};
    struct audit *audit = audit_new(reader, &wanted);
    enum status status;
    do
        status = audit_step(audit);
    while (status == STATUS_OK);
    CHECK_INT(STATUS_END, status);
    return audit;
}

static void check_audit(const enum difference_kind *kinds, int64_t count)
{
    struct reader *reader = read_store();
    struct audit *audit = audit_all(reader, NULL);
    const struct difference *d;
    CHECK_INT(count, audit_totals(audit)->differences);
    for (size_t i = 0; (d = audit_difference(audit, i)); i++)
        if (i < (size_t)count && kinds[i] != d->kind)
            TEST_FAIL("%s: %s instead of %s", d->detail, difference_kind_text(d->kind),
                      difference_kind_text(kinds[i]));
    audit_free(audit);
    reader_close(reader);
}

// Six occurrences, of which the third failed and the fifth fell into a pause.
static void live(void)
{
    put("t", EVERY);
    for (int i = 1; i <= 6; i++) {
        if (i == 5)
            tell(MESSAGE_PAUSE, "t");
        pass(10 * MINUTE);
        if (i != 5)
            report(i == 3 ? ATTEMPT_FAILED : ATTEMPT_SUCCEEDED);
        else
            tell(MESSAGE_RESUME, "t");
    }
    pass(5 * MINUTE);
}

// The n-th run that was made.
#define RUN(n) "(SELECT id FROM runs ORDER BY id LIMIT 1 OFFSET " #n " - 1)"

TEST(what_fits_is_no_difference)
{
    begin_world();
    live();
    check_audit(NULL, 0);
    struct reader *reader = read_store();
    struct audit *audit = audit_all(reader, "t");
    CHECK_INT(6, audit_totals(audit)->occurrences);
    CHECK_INT(6, audit_totals(audit)->runs);
    audit_free(audit);
    reader_close(reader);
    end_world();
}

TEST(whatever_does_not_fit_is_found)
{
    static const struct {
        const char *statement;
        enum difference_kind kinds[2];
        int64_t count;
    } rows[] = {
        {"UPDATE runs SET task_id = NULL WHERE id = " RUN(2), {DIFFERENCE_NO_RECORD}, 1},
        {"UPDATE runs SET generation = 7, scheduled_for = scheduled_for - 600000000 WHERE id "
         "= " RUN(2),
         {DIFFERENCE_DOUBLE, DIFFERENCE_NO_RECORD},
         2},
        {"UPDATE runs SET scheduled_for = scheduled_for - 60000000 WHERE id = " RUN(2),
         {DIFFERENCE_PHANTOM, DIFFERENCE_NO_RECORD},
         2},
        {"UPDATE runs SET started_at = started_at - 1000000 WHERE id = " RUN(2),
         {DIFFERENCE_EARLY},
         1},
        {"UPDATE runs SET started_at = started_at - 302000000 WHERE id = " RUN(6),
         {DIFFERENCE_EARLY},
         1},
        {"UPDATE runs SET started_at = started_at + 60000000 WHERE id = " RUN(4),
         {DIFFERENCE_WHILE_PAUSED},
         1},
        {"DELETE FROM attempts WHERE run_id = " RUN(2), {DIFFERENCE_ATTEMPTS, DIFFERENCE_STATE}, 2},
        {"UPDATE attempts SET number = 2 WHERE run_id = " RUN(2), {DIFFERENCE_ATTEMPTS}, 1},
        {"UPDATE attempts SET fence = fence + 1 WHERE run_id = " RUN(2), {DIFFERENCE_FENCES}, 1},
        {"UPDATE attempts SET outcome = 1 WHERE run_id = " RUN(2), {DIFFERENCE_STATE}, 1},
        {"UPDATE runs SET reason = NULL WHERE id = " RUN(3), {DIFFERENCE_REASON}, 1},
        {"UPDATE books SET entered = entered + 1 WHERE state = 5",
         {DIFFERENCE_BOOKS, DIFFERENCE_BOOKS},
         2},
        {"DELETE FROM dead_letters", {DIFFERENCE_BOOKS}, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        test_row = rows[i].statement;
        begin_world();
        live();
        damage(rows[i].statement);
        check_audit(rows[i].kinds, rows[i].count);
        end_world();
    }
    test_row = "";
}

TEST(a_job_that_runs_elsewhere_may_have_started_in_a_pause)
{
    begin_world();
    put("m", "{\"schedule\":{\"every\":\"1h\"},\"monitor\":{}}");
    pass(50 * MINUTE);
    tell(MESSAGE_PAUSE, "m");
    pass(9 * MINUTE);
    tell(MESSAGE_RESUME, "m");
    pass(2 * MINUTE);
    struct message *m = message_new(MESSAGE_CHECKIN);
    m->name = memory_text("m");
    m->checkin.duration_us = 5 * MINUTE;
    turn(m);
    CHECK_INT(STATUS_OK, m->reply.status);
    message_free(m);
    pass(MINUTE);
    check_audit(NULL, 0);
    end_world();
}

TEST(a_job_that_checked_in_early_may_be_of_a_schedule_that_is_gone_since)
{
    for (int deleted = 0; deleted <= 1; deleted++) {
        begin_world();
        put("m", "{\"schedule\":{\"every\":\"1h\"},\"monitor\":{}}");
        pass(HOUR - 50 * SECOND);
        struct message *m = message_new(MESSAGE_CHECKIN);
        m->name = memory_text("m");
        m->checkin.duration_us = -1;
        turn(m);
        message_free(m);
        pass(10 * SECOND);
        if (deleted)
            tell(MESSAGE_DELETE_TASK, "m");
        else
            put("m", "{\"schedule\":{\"every\":\"7h\"},\"monitor\":{}}");
        pass(5 * MINUTE);
        check_audit(NULL, 0);
        end_world();
    }
}

TEST(what_was_claimed_before_a_pause_may_start_after_it_and_after_an_edit)
{
    begin_world();
    put("t", EVERY);
    pass(10 * MINUTE - 10 * MILLISECOND);
    CHECK_INT(1, order_count);
    tell(MESSAGE_PAUSE, "t");
    now = wall_plus(now, MILLISECOND);
    put("t", "{\"schedule\":{\"every\":\"10m\"}," ONCE ",\"priority\":3}");
    report(ATTEMPT_SUCCEEDED);
    pass(MINUTE);
    check_audit(NULL, 0);
    end_world();
}

TEST(what_an_edit_at_that_very_moment_records_once_more_is_no_difference)
{
    begin_world();
    put("m", "{\"schedule\":{\"every\":\"1h\"},\"monitor\":{}}");
    pass(HOUR - 10 * MILLISECOND); // it is recorded a little ahead
    put("m", "{\"schedule\":{\"every\":\"30m\"},\"monitor\":{}}");
    pass(MINUTE);
    CHECK_INT(1, count(RUN_CANCELED));
    CHECK_INT(1, count(RUN_SCHEDULED));
    check_audit(NULL, 0);
    end_world();
}

TEST(what_is_still_to_be_recorded_is_pending_and_no_difference)
{
    begin_world();
    live();
    stop();
    now = wall_plus(now, HOUR);
    start();
    struct reader *reader = read_store();
    struct audit *audit = audit_all(reader, NULL);
    CHECK_INT(0, audit_totals(audit)->differences);
    CHECK_INT(6, audit_totals(audit)->pending);
    audit_free(audit);
    reader_close(reader);
    end_world();
}

TESTS_MAIN
