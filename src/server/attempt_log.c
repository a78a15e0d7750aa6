#include "server/attempt_log.h"

#include "base/logline.h"

static void write_number(struct writer *w, const char *key, int64_t n)
{
    writer_key(w, key);
    writer_known(w, n);
}

static void write_time(struct writer *w, const char *key, int64_t us)
{
    writer_key(w, key);
    writer_ms(w, us);
}

void attempt_log(struct buffer *lines, wall now, const char *task, const struct attempt *a)
{
    enum level level = a->outcome == ATTEMPT_SUCCEEDED ? LEVEL_INFO : LEVEL_WARNING;
    char id[RUN_ID_TEXT];
    if (!logline_wanted(level))
        return;
    run_id_format(a->run, id);
    struct logline line;
    logline_begin(&line, now, level, "attempt");
    writer_key(&line.w, "run");
    writer_text(&line.w, id);
    writer_key(&line.w, "task");
    writer_text(&line.w, task);
    write_number(&line.w, "number", a->number);
    write_number(&line.w, "fence", a->fence);
    writer_key(&line.w, "node");
    writer_text(&line.w, a->node);
    writer_key(&line.w, "started_at");
    writer_moment(&line.w, a->started_at);
    writer_key(&line.w, "outcome");
    writer_text(&line.w, attempt_outcome_text(a->outcome));
    write_number(&line.w, "status", a->status);
    writer_key(&line.w, "error");
    writer_text(&line.w, a->error);
    write_time(&line.w, "lateness_ms", a->lateness_us);
    write_time(&line.w, "response_time_ms", a->response_time_us);
    write_time(&line.w, "dns_ms", a->dns_us);
    write_time(&line.w, "connect_ms", a->connect_us);
    write_time(&line.w, "tls_ms", a->tls_us);
    write_time(&line.w, "first_byte_ms", a->first_byte_us);
    writer_key(&line.w, "cache");
    writer_text(&line.w, cache_status_text(a->cache));
    write_number(&line.w, "db_calls", a->db_calls);
    write_time(&line.w, "db_time_ms", a->db_time_us);
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
