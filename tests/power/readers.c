#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inspect.h"
#include "power.h"
#include "store/reader.h"
#include "vfs.h"

// A history that stands still while readers are made to fail.
struct scene {
    struct history *h;
    struct reader *reader; // NULL: could not be opened
    int failures;          // questions that were answered with STATUS_FAILED
};

// A question may fail; what it answers otherwise must be so.
static bool answers(struct scene *scene, const char *question, enum status status, int64_t expected,
                    int64_t found)
{
    if (status == STATUS_FAILED) {
        scene->failures++;
        return false;
    }
    if (status != STATUS_OK || expected != found)
        history_violation(scene->h, "%s: answered \"%s\" with %" PRId64 "; it should be %" PRId64,
                          question, status_text(status), found, expected);
    return true;
}

static void ask_runs(struct scene *scene)
{
    const struct model *m = &scene->h->now;
    struct run_filter filter = {.state = -1, .to = WALL_NEVER, .from = WALL_NONE};
    static struct run runs[MODEL_RUNS];
    size_t count = 0;
    enum status status = reader_list_runs(scene->reader, &filter, MODEL_RUNS, runs, &count);
    bool answered = answers(scene, "reader_list_runs", status, m->run_count, (int64_t)count);
    for (size_t i = 0; answered && i < count; i++)
        run_done(&runs[i]);
}

static void ask_run(struct scene *scene)
{
    const struct model_run *m = &scene->h->now.runs[0];
    struct run run = {0};
    enum status status = reader_find_run(scene->reader, (run_id){m->id}, &run);
    if (answers(scene, "reader_find_run", status, m->state, run.state))
        answers(scene, "reader_find_run", status, (int64_t)m->payload.hash,
                (int64_t)model_text_of(run.payload, run.payload_size).hash);
    run_done(&run);
}

// One with attempts on record. NULL where history has none now.
static const struct model_run *tried_run(const struct history *h)
{
    for (int i = 0; i < h->now.run_count; i++)
        if (h->now.runs[i].attempts > 0 && h->now.runs[i].state != RUN_RUNNING)
            return &h->now.runs[i];
    return NULL;
}

static void ask_attempts(struct scene *scene)
{
    const struct model_run *m = tried_run(scene->h);
    struct attempt *attempts = NULL;
    size_t count = 0;
    enum status status = reader_list_attempts(scene->reader, (run_id){m->id}, &attempts, &count);
    answers(scene, "reader_list_attempts", status, m->attempts, (int64_t)count);
    for (size_t i = 0; i < count; i++)
        attempt_done(&attempts[i]);
    free(attempts);
}

static void ask_tasks(struct scene *scene)
{
    struct task_record tasks[MODEL_TASKS];
    int64_t expected = 0;
    size_t count = 0;
    for (int i = 0; i < MODEL_TASKS; i++)
        expected += scene->h->now.tasks[i].there && !scene->h->now.tasks[i].deleted;
    enum status status = reader_list_tasks(scene->reader, "", MODEL_TASKS, tasks, &count);
    bool answered = answers(scene, "reader_list_tasks", status, expected, (int64_t)count);
    for (size_t i = 0; answered && i < count; i++)
        task_record_done(&tasks[i]);
}

static void ask_journal(struct scene *scene)
{
    struct journal_row row = {0};
    size_t count = 0;
    int64_t last = scene->h->now.last_turn;
    enum status status = reader_read_journal(scene->reader, last - 1, 1, &row, &count);
    if (answers(scene, "reader_read_journal", status, last, row.turn))
        free(row.events);
}

static void ask_all(struct scene *scene)
{
    static void (*const questions[])(struct scene *) = {ask_runs, ask_run, ask_attempts, ask_tasks,
                                                        ask_journal};
    for (size_t i = 0; i < sizeof questions / sizeof *questions && !*scene->h->problem; i++)
        questions[i](scene);
}

static void open_reader(struct scene *scene)
{
    char why[500];
    enum status status = reader_open_sqlite(scene->h->path, &scene->reader, why, sizeof why);
    if (status == STATUS_OK)
        return;
    scene->reader = NULL;
    if (status != STATUS_FAILED)
        history_violation(scene->h, "a reader cannot be opened: \"%s\", %s", status_text(status),
                          why);
}

// A reader is opened and asked while the call fails; then the disk is sound again, and the same
// reader (or a new one, where it could not be opened) must answer everything. The writer goes on
// all the while.
static bool try_reader(struct history *h, const struct strike *strike, bool *ret_stopped)
{
    struct scene scene = {.h = h};
    struct disk *disk = h->disk;
    memset(disk->calls, 0, sizeof disk->calls);
    disk->struck = false;
    disk->strike = *strike;
    open_reader(&scene);
    if (scene.reader)
        ask_all(&scene);
    disk->strike = (struct strike){0};
    bool reached = disk->struck;
    *ret_stopped = !scene.reader || scene.failures;
    scene.failures = 0;
    if (!scene.reader && !*h->problem)
        open_reader(&scene);
    if (scene.reader && !*h->problem)
        ask_all(&scene);
    if (!scene.reader || scene.failures)
        history_violation(h, "a reader does not recover: %d questions fail", scene.failures);
    reader_close(scene.reader);
    return reached;
}

// A store with a log, and a main file that holds most of it.
static struct history *begin(void)
{
    struct history *h = history_new(11, power_path(), NULL);
    h->disk->recording = false;
    enum status status = history_open(h);
    for (int i = 0; i < 30 && status == STATUS_OK; i++)
        status = i == 20 ? history_checkpoint(h, false) : history_turn(h);
    while (status == STATUS_OK && !tried_run(h)) // history may have been cleared of them
        status = history_turn(h);
    if (status != STATUS_OK)
        history_violation(h, "cannot be made: %s", store_problem(h->store));
    return h;
}

static bool try_calls(enum call call, const char *name, int code, bool forever)
{
    struct history *h = begin();
    bool reached = true, stopped = false;
    int64_t runs = 0, failed = 0, turned = 0;
    for (int64_t nth = 1; reached && !*h->problem; nth++, runs++) {
        struct strike strike = {call, nth, forever, code};
        reached = try_reader(h, &strike, &stopped);
        failed += stopped;
        while (!*h->problem && ((turned < 100 && turned <= runs) || !tried_run(h))) {
            turned++;
            if (history_turn(h) != STATUS_OK)
                history_violation(h, "the writer failed with it: %s", store_problem(h->store));
        }
        if (*h->problem)
            printf("VIOLATION where a reader's call %" PRId64 " of %s answers %s%s: %s\n", nth,
                   call_text(call), name, forever ? " from then on" : " once", h->problem);
    }
    printf("reader %-10s %-26s %-8s %5" PRId64 " runs, a question failed in %" PRId64 "\n",
           call_text(call), name, forever ? "for ever" : "once", runs, failed);
    bool well = !*h->problem;
    history_free(h);
    return well;
}

struct score readers_run(void)
{
#define CODE(code) #code, code
    static const struct {
        enum call call;
        const char *name;
        int code;
    } rows[] = {
        {CALL_OPEN, CODE(SQLITE_CANTOPEN)},
        {CALL_ACCESS, CODE(SQLITE_IOERR_ACCESS)},
        {CALL_READ, CODE(SQLITE_IOERR_READ)},
        {CALL_READ, CODE(SQLITE_IOERR_CORRUPTFS)},
        {CALL_FILE_SIZE, CODE(SQLITE_IOERR_FSTAT)},
        {CALL_LOCK, CODE(SQLITE_IOERR_LOCK)},
        {CALL_LOCK, CODE(SQLITE_BUSY)},
        {CALL_SHM_MAP, CODE(SQLITE_IOERR_SHMMAP)},
        {CALL_SHM_LOCK, CODE(SQLITE_IOERR_SHMLOCK)},
        {CALL_SHM_LOCK, CODE(SQLITE_BUSY)},
    };
    struct score score = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        for (int forever = 0; forever < 2; forever++)
            if (try_calls(rows[i].call, rows[i].name, rows[i].code, forever))
                score.passed++;
            else
                score.failed++;
    return score;
}
