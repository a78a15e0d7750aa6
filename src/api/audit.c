// GET /v1/audit: what should be recorded, held against what is.
#include "store/audit.h"
#include "api/handlers.h"
#include "api/query.h"
#include "base/now.h"

// It is answered on the front's thread, which others wait for: what takes longer is for
// `punctual audit --store`, which has a process of its own.
#define WORK_MOST SECOND
#define COUNT_MOST 200000

static enum status do_audit(struct audit *audit)
{
    steady until = steady_plus(steady_now(), WORK_MOST);
    enum status status;
    while ((status = audit_step(audit)) == STATUS_OK)
        if (steady_now().us > until.us)
            return STATUS_TOO_LARGE;
    return status;
}

static void answer(struct request *r, struct reader *reader, const struct audit_options *options)
{
    struct audit *audit = audit_new(reader, options);
    enum status status = do_audit(audit);
    if (status == STATUS_END) {
        struct writer w = request_answer(r, 200);
        audit_write(audit, &w);
    } else if (status == STATUS_TOO_LARGE) {
        request_refuse(r, PROBLEM_INVALID,
                       "this audit takes more than a second, and others wait: ask for a shorter "
                       "window or one task, or use `punctual audit --store PATH` on the server's "
                       "machine");
    } else {
        request_refuse_named(r, status, "task", options->task);
    }
    audit_free(audit);
}

void audit_get(struct request *r)
{
    struct audit_options options = {.to = query_moment(r, "to", r->now),
                                    .task = query_text(r, "task"),
                                    .count_most = COUNT_MOST};
    options.from = query_moment(r, "from", wall_plus(options.to, -DAY));
    struct reader *reader;
    if (options.to.us > r->now.us)
        faults_add(&r->faults, "?to", "must not be in the future: nothing is recorded there yet");
    else if (options.from.us >= options.to.us)
        faults_add(&r->faults, "?from", "must be before `to`");
    if (options.task)
        task_check_name(options.task, "?task", &r->faults);
    if (request_is_sound(r, "a query parameter makes no sense") && request_reader(r, &reader))
        answer(r, reader, &options);
}
