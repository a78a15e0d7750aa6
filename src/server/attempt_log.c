#include "server/attempt_log.h"

#include <stdio.h>

#include "base/logline.h"
#include "core/run.h"

static void log_report_fault(struct buffer *lines, wall now, const char *task,
                             const struct attempt *a)
{
    struct logline line;
    char words[300];
    snprintf(words, sizeof words, "the file of PUNCTUAL_REPORT was passed over: %s",
             a->report_fault);
    logline_begin(&line, now, LEVEL_WARNING, "report_ignored");
    member_run(&line.w, "run", a->run);
    member_text(&line.w, "task", task);
    member_known(&line.w, "number", a->number);
    member_text(&line.w, "message", words);
    logline_keep(&line, lines);
}

void attempt_log(struct buffer *lines, wall now, const char *task, const struct attempt *a)
{
    if (a->report_fault)
        log_report_fault(lines, now, task, a);
    enum level level = a->outcome == ATTEMPT_SUCCEEDED ? LEVEL_INFO : LEVEL_WARNING;
    if (!logline_wanted(level))
        return;
    struct logline line;
    logline_begin(&line, now, level, "attempt");
    member_run(&line.w, "run", a->run);
    member_text(&line.w, "task", task);
    member_known(&line.w, "number", a->number);
    member_known(&line.w, "fence", a->fence);
    member_text(&line.w, "node", a->node);
    member_moment(&line.w, "started_at", a->started_at);
    member_text(&line.w, "outcome", attempt_outcome_text(a->outcome));
    member_known(&line.w, "status", a->status);
    member_text(&line.w, "error", a->error);
    member_ms(&line.w, "lateness_ms", a->lateness_us);
    member_ms(&line.w, "response_time_ms", a->response_time_us);
    member_ms(&line.w, "dns_ms", a->dns_us);
    member_ms(&line.w, "connect_ms", a->connect_us);
    member_ms(&line.w, "tls_ms", a->tls_us);
    member_ms(&line.w, "first_byte_ms", a->first_byte_us);
    member_text(&line.w, "cache", cache_status_text(a->cache));
    member_known(&line.w, "db_calls", a->db_calls);
    member_ms(&line.w, "db_time_ms", a->db_time_us);
    logline_keep(&line, lines);
}

void attempts_log(wall now, struct letter *attempts)
{
    struct buffer lines;
    buffer_init(&lines, 16 << 20);
    while (attempts) {
        struct message *m = (struct message *)attempts;
        attempts = attempts->next;
        attempt_log(&lines, now, m->task ? m->task->name : NULL, &m->attempt);
        message_free(m);
    }
    logline_flush(&lines);
    buffer_done(&lines);
}
