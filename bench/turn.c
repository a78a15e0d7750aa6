// How long the scheduler's own work takes for each run: creates, starts and outcomes in turns of a
// given size, over a real store on the real disk, without any network. Prints JSON.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/now.h"
#include "scheduler/scheduler.h"

static double cpu_s(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)use.ru_utime.tv_sec + (double)use.ru_stime.tv_sec +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

static struct task *target(void)
{
    static const char text[] = "{\"http\":{\"url\":\"http://127.0.0.1:9/hook\"}}";
    json_t *value = NULL;
    struct json_place place;
    struct faults faults = {0};
    struct task *task = NULL;
    if (json_read(text, sizeof text - 1, &value, &place) != STATUS_OK ||
        task_decode(NULL, value, NULL, "", &faults, &task) != STATUS_OK)
        abort();
    json_decref(value);
    return task;
}

static struct message *wish(struct task *task, wall due_at)
{
    struct message *m = message_new(MESSAGE_CREATE_RUNS);
    m->wishes = memory_array(1, sizeof *m->wishes);
    m->wish_count = 1;
    m->wishes[0] = (struct wish){.target = task_hold(task),
                                 .payload = memory_text("{\"n\":1}"),
                                 .payload_size = 7,
                                 .due_at = due_at};
    return m;
}

static void free_all(struct letter *letter)
{
    while (letter) {
        struct message *m = (struct message *)letter;
        letter = letter->next;
        message_free(m);
    }
}

// Orders become the reports of attempts that went well.
static struct letter *reports_of(struct letter *orders, wall now, size_t *count)
{
    struct letter *reports = NULL;
    while (orders) {
        struct order *order = (struct order *)orders;
        orders = orders->next;
        struct message *m = message_new(MESSAGE_REPORT);
        m->attempt.run = order->run;
        m->attempt.number = order->number;
        m->attempt.fence = order->fence;
        m->attempt.started_at = now;
        m->attempt.lateness_us = 100;
        m->attempt.response_time_us = 900;
        m->attempt.outcome = ATTEMPT_SUCCEEDED;
        m->attempt.status = 200;
        m->attempt.response = memory_text("{\"ok\":true}");
        m->attempt.response_size = 11;
        m->letter.next = reports;
        reports = &m->letter;
        order_free(order);
        ++*count;
    }
    return reports;
}

static void print(const char *name, size_t count, double wall_s, double used_s, const char *after)
{
    printf("\"%s\": {\"count\": %zu, \"per_second\": %.0f, \"wall_us\": %.2f, \"cpu_us\": %.2f}%s",
           name, count, (double)count / wall_s, wall_s * 1e6 / (double)count,
           used_s * 1e6 / (double)count, after);
}

int main(int argc, char **argv)
{
    size_t total = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
    size_t each = argc > 2 ? strtoul(argv[2], NULL, 10) : 100;
    char folder[] = "bench-turn-XXXXXX", path[64], why[256];
    struct store *store;
    struct scheduler *s;
    struct outbox out;
    if (!mkdtemp(folder))
        return EXIT_FAILURE;
    snprintf(path, sizeof path, "%s/punctual.db", folder);
    struct scheduler_options options = scheduler_defaults;
    options.lane_limit = (int)each;
    if (store_open_sqlite(path, &store, why, sizeof why) != STATUS_OK ||
        scheduler_new(&options, store, wall_now(), &s) != STATUS_OK)
        return EXIT_FAILURE;
    struct task *task = target();
    wall due = wall_plus(wall_now(), HOUR);

    double began = cpu_s();
    steady start = steady_now();
    for (size_t made = 0; made < total; made += each) {
        struct letter *first = NULL;
        for (size_t i = 0; i < each; i++) {
            struct message *m = wish(task, due);
            m->letter.next = first;
            first = &m->letter;
        }
        if (scheduler_turn(s, wall_now(), first, &out) != STATUS_OK)
            return EXIT_FAILURE;
        free_all(out.replies);
        store_checkpoint(store);
    }
    printf("{");
    print("create", total, (double)(steady_now().us - start.us) / 1e6, cpu_s() - began, ", ");

    struct letter *inbox = NULL;
    size_t done = 0;
    began = cpu_s();
    start = steady_now();
    while (done < total) {
        if (scheduler_turn(s, due, inbox, &out) != STATUS_OK)
            return EXIT_FAILURE;
        free_all(out.attempts);
        inbox = reports_of(out.orders, due, &done);
        store_checkpoint(store);
    }
    scheduler_turn(s, due, inbox, &out);
    free_all(out.attempts);
    print("start_and_finish", done, (double)(steady_now().us - start.us) / 1e6, cpu_s() - began,
          "}\n");

    task_drop(task);
    scheduler_free(s);
    store_close(store);
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}
