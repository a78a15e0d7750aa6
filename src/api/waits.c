#include "api/waits.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "core/target.h"

// A due run, and what holds for it now.
struct wait {
    struct request *r;
    struct reader *reader;
    struct run *run;
    struct task *task; // the definition that its next attempt is made with
    bool paused;
};

__attribute__((format(printf, 2, 3))) static bool explain(struct wait *wait, const char *format,
                                                          ...)
{
    char why[400];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(why, sizeof why, format, arguments);
    va_end(arguments);
    wait->run->reason = memory_text(why);
    return true;
}

// --- the causes; each says whether it is one ---

static bool by_pause(struct wait *wait)
{
    return wait->paused && explain(wait, "waits: its task is paused");
}

static bool by_endpoint(struct wait *wait)
{
    char until[MOMENT_TEXT] = "";
    struct pulse_values pulse = pulse_read(wait->r->service->pulse);
    for (int i = 0; i < pulse.down_count; i++) {
        const struct pulse_down *down = &pulse.down[i];
        if (down->lane != wait->run->lane)
            continue;
        if (wall_is_set(down->until))
            wall_format(down->until, until);
        return explain(wait, "waits: %s is taken to be down%s%s", down->endpoint,
                       wall_is_set(down->until) ? "; the next attempt may go at " : "", until);
    }
    return false;
}

// Overlap is judged before the first attempt only, max_running before each.
static bool by_others(struct wait *wait)
{
    const struct task *task = wait->task;
    const struct run *run = wait->run;
    bool queues = task->overlap == OVERLAP_QUEUE && run->state == RUN_SCHEDULED;
    size_t most = task->max_running ? (size_t)task->max_running : 1, running;
    run_id live;
    char id[RUN_ID_TEXT];
    if (!run->task || (!queues && !task->max_running) ||
        reader_find_live(wait->reader, run->task, run->id, most, &running, &live) != STATUS_OK)
        return false;
    if (queues && live.value) {
        run_id_format(live, id);
        return explain(wait, "waits: %s of the same task has not ended, and overlap is queue", id);
    }
    return task->max_running && running >= most &&
           explain(wait, "waits: max_running is %d, and as many of its task run", (int)most);
}

// By its own rule; who shares its key may have a stricter one.
static bool by_rate(struct wait *wait)
{
    const struct rate_limit *rate = &wait->task->rate_limit;
    char opens[MOMENT_TEXT];
    wall start;
    if (!rate->limit || reader_find_start(wait->reader, task_rate_key(wait->task), rate->limit,
                                          &start) != STATUS_OK)
        return false;
    wall until = wall_plus(start, rate->per_us);
    if (until.us <= wait->r->now.us)
        return false;
    wall_format(until, opens);
    return explain(wait, "waits: rate_limit lets nothing more start before %s", opens);
}

// No worker could take it yet where it is only about to catch up, which is paced.
static bool by_queue(struct wait *wait)
{
    const struct target *target = &wait->task->target;
    bool paced = wait->run->trigger == TRIGGER_CATCH_UP && wait->run->state == RUN_SCHEDULED;
    return target->kind == TARGET_QUEUE && !paced &&
           explain(wait, "waits: for a worker that takes it from the queue %s", target->queue.name);
}

// What holds it back whatever else does comes first.
static bool (*const causes[])(struct wait *) = {by_pause, by_endpoint, by_others, by_rate,
                                                by_queue};

// --- finding them ---

// The newest definition of its task, or the one-off's own.
static bool read_definition(struct wait *wait)
{
    const struct run *run = wait->run;
    struct task_record record;
    char *text;
    size_t size;
    enum status status;
    if (run->task) {
        if (reader_find_task(wait->reader, run->task_name, &record) != STATUS_OK)
            return false;
        status =
            task_decode_text(record.name, record.definition, record.definition_size, &wait->task);
        wait->paused = wall_is_set(record.paused_at);
        task_record_done(&record);
        return status == STATUS_OK;
    }
    if (reader_find_definition(wait->reader, run->revision_id, &text, &size) != STATUS_OK)
        return false;
    status = task_decode_text(NULL, text, size, &wait->task);
    free(text);
    return status == STATUS_OK;
}

// The run is shown without a cause where one cannot be read.
void waits_explain(struct request *r, struct reader *reader, struct run *run)
{
    struct wait wait = {.r = r, .reader = reader, .run = run};
    if (run->reason || run_state_at(run->state, run->due_at, r->now) != RUN_DUE ||
        !read_definition(&wait))
        return;
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++)
        if (causes[i](&wait))
            break;
    task_drop(wait.task);
}
