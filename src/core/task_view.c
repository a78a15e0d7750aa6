#include "core/task_view.h"

#include "core/upcoming.h"

// Occurrences looked at for `next`: a schedule whose every occurrence falls into a gap that it
// skips must end too.
#define LOOKED_AT_MOST 32

static void write_paused(struct writer *w, const struct task_view *view)
{
    if (!wall_is_set(view->paused_at)) {
        member_null(w, "paused");
        return;
    }
    member_object(w, "paused");
    member_moment(w, "at", view->paused_at);
    member_text(w, "by", view->paused_by);
    member_text(w, "reason", view->paused_why);
    writer_end_object(w);
}

static void write_next(struct writer *w, const struct task_view *view, wall now)
{
    member_array(w, "next");
    if (view->task && !wall_is_set(view->paused_at)) {
        struct upcoming coming;
        struct upcoming_item item;
        upcoming_begin(&coming, view->task, now);
        for (int looked = 0, shown = 0; looked < LOOKED_AT_MOST && shown < TASK_VIEW_NEXT;
             looked++) {
            if (!upcoming_next(&coming, &item))
                break;
            if (item.dst == DST_SKIPPED)
                continue;
            writer_moment(w, item.effective);
            shown++;
        }
    }
    writer_end_array(w);
}

static void write_figures(struct writer *w, const struct task_figures *figures)
{
    member_object(w, "figures");
    member_known(w, "attempts", figures->attempts);
    member_known(w, "failed", figures->failed);
    writer_key(w, "error_rate");
    if (figures->attempts > 0)
        writer_real(w, (double)figures->failed / (double)figures->attempts);
    else
        writer_null(w);
    member_ms(w, "p50_ms", figures->p50_us);
    member_ms(w, "p95_ms", figures->p95_us);
    member_object(w, "cache");
    member_known(w, "warm", figures->cache_warm);
    member_known(w, "cold", figures->cache_cold);
    member_known(w, "unknown", figures->cache_unknown);
    writer_end_object(w);
    member_known(w, "db_calls_p50", figures->db_calls_p50);
    writer_end_object(w);
}

static void write_running(struct writer *w, const run_id *running, size_t count)
{
    char id[RUN_ID_TEXT];
    member_array(w, "running");
    for (size_t i = 0; i < count; i++) {
        run_id_format(running[i], id);
        writer_text(w, id);
    }
    writer_end_array(w);
}

void task_write(struct writer *w, const struct task_view *view, wall now)
{
    writer_object(w);
    member_text(w, "name", view->name);
    member_int(w, "revision", view->revision);
    member_moment(w, "created_at", view->created_at);
    member_moment(w, "changed_at", view->changed_at);
    write_paused(w, view);
    member_raw(w, "definition", view->definition, view->definition_size);
    write_next(w, view, now);
    if (view->figures)
        write_figures(w, view->figures);
    if (view->running)
        write_running(w, view->running, view->running_count);
    writer_end_object(w);
}
