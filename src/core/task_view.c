#include "core/task_view.h"

#include "core/upcoming.h"

// Occurrences looked at for `next`: a schedule whose every occurrence falls into a gap that it
// skips must end too.
#define LOOKED_AT_MOST 32

static void write_paused(struct writer *w, const struct task_view *view)
{
    writer_key(w, "paused");
    if (!wall_is_set(view->paused_at)) {
        writer_null(w);
        return;
    }
    writer_object(w);
    writer_key(w, "at");
    writer_moment(w, view->paused_at);
    writer_key(w, "by");
    writer_text(w, view->paused_by);
    writer_key(w, "reason");
    writer_text(w, view->paused_why);
    writer_end_object(w);
}

static void write_next(struct writer *w, const struct task_view *view, wall now)
{
    writer_key(w, "next");
    writer_array(w);
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
    writer_key(w, "figures");
    writer_object(w);
    writer_key(w, "attempts");
    writer_known(w, figures->attempts);
    writer_key(w, "failed");
    writer_known(w, figures->failed);
    writer_key(w, "error_rate");
    if (figures->attempts > 0)
        writer_real(w, (double)figures->failed / (double)figures->attempts);
    else
        writer_null(w);
    writer_key(w, "p50_ms");
    writer_ms(w, figures->p50_us);
    writer_key(w, "p95_ms");
    writer_ms(w, figures->p95_us);
    writer_key(w, "cache");
    writer_object(w);
    writer_key(w, "warm");
    writer_known(w, figures->cache_warm);
    writer_key(w, "cold");
    writer_known(w, figures->cache_cold);
    writer_key(w, "unknown");
    writer_known(w, figures->cache_unknown);
    writer_end_object(w);
    writer_key(w, "db_calls_p50");
    writer_known(w, figures->db_calls_p50);
    writer_end_object(w);
}

static void write_running(struct writer *w, const run_id *running, size_t count)
{
    char id[RUN_ID_TEXT];
    writer_key(w, "running");
    writer_array(w);
    for (size_t i = 0; i < count; i++) {
        run_id_format(running[i], id);
        writer_text(w, id);
    }
    writer_end_array(w);
}

void task_write(struct writer *w, const struct task_view *view, wall now)
{
    writer_object(w);
    writer_key(w, "name");
    writer_text(w, view->name);
    writer_key(w, "revision");
    writer_int(w, view->revision);
    writer_key(w, "created_at");
    writer_moment(w, view->created_at);
    writer_key(w, "changed_at");
    writer_moment(w, view->changed_at);
    write_paused(w, view);
    writer_key(w, "definition");
    writer_raw(w, view->definition, view->definition_size);
    write_next(w, view, now);
    if (view->figures)
        write_figures(w, view->figures);
    if (view->running)
        write_running(w, view->running, view->running_count);
    writer_end_object(w);
}
