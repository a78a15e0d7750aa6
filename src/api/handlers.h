/*
 * handlers - the functions behind the routes, by the file they live in
 *
 * Each is called on a front's thread when the whole body is there, and either answers
 * (api/request.h) or hands over a message with request_post.
 */
#pragma once

struct request;

// health.c
void health_get(struct request *r);
void ready_get(struct request *r);
// docs.c
void openapi_get(struct request *r);
void docs_get(struct request *r);
// metrics.c
void metrics_get(struct request *r);
// events.c
void events_get(struct request *r);
// tasks.c
void tasks_list(struct request *r);
void task_get(struct request *r);
void task_put(struct request *r);
void task_patch(struct request *r);
void task_delete(struct request *r);
// commands.c
void task_pause(struct request *r);
void task_resume(struct request *r);
void task_trigger(struct request *r);
void task_rollback(struct request *r);
// upcoming.c
void task_upcoming(struct request *r);
// revisions.c
void task_revisions(struct request *r);
// audit.c
void audit_get(struct request *r);
// apply.c
void apply_post(struct request *r);
// runs.c
void runs_list(struct request *r);
void run_get(struct request *r);
void run_post(struct request *r);
void run_cancel(struct request *r);
void run_retry(struct request *r);
// queues.c
void queues_list(struct request *r);
void queue_get(struct request *r);
void queue_lease(struct request *r);
// leases.c
void leases_heartbeat(struct request *r);
void leases_complete(struct request *r);
void leases_fail(struct request *r);
void leases_release(struct request *r);
void run_complete(struct request *r);
void run_heartbeat(struct request *r);
// dead.c
void dead_list(struct request *r);
void dead_retry(struct request *r);
void dead_discard(struct request *r);
// checkins.c
void checkin_post(struct request *r);
// test_clock.c
void test_clock_get(struct request *r);
void test_clock_post(struct request *r);
// batch.c
void batch_post(struct request *r);
