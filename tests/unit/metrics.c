// What /metrics counts for each task: of so many tasks, the rest together.
#include "scheduler/state.h"
#include "scheduling.h"

#define FIRST 1000000 // ids of tasks that are only counted
#define ROOM 10000

static void count_missed(int task)
{
    char name[20];
    snprintf(name, sizeof name, "t%d", task);
    count_run(&scheduler->metrics, FIRST + task, name, RUN_MISSED);
}

static bool shows(const char *line)
{
    struct message *m = message_new(MESSAGE_METRICS);
    turn(m);
    bool found = strstr(m->reply.body.data, line) != NULL;
    message_free(m);
    return found;
}

TEST(what_is_missed_is_counted_for_its_task_and_beyond_the_room_for_all_others_together)
{
    begin_world();
    for (int i = 0; i < ROOM + 3; i++)
        count_missed(i);
    count_missed(ROOM - 1);
    CHECK(shows("punctual_task_runs_total{task=\"t0\",state=\"missed\"} 1\n"));
    CHECK(shows("punctual_task_runs_total{task=\"t9999\",state=\"missed\"} 2\n"));
    CHECK(shows("punctual_task_runs_total{task=\"(others)\",state=\"missed\"} 3\n"));
    CHECK(!shows("task=\"t10000\""));
    end_world();
}

TEST(tasks_that_are_deleted_give_way_to_new_ones_when_there_is_no_more_room)
{
    begin_world();
    put("job", "{" HOOK "}");
    ask("job", NULL, WALL_NONE);
    land_everything();
    tell(MESSAGE_DELETE_TASK, "job");
    CHECK(shows("punctual_task_runs_total{task=\"job\",state=\"succeeded\"} 1\n"));
    for (int i = 0; i < ROOM; i++)
        count_missed(i);
    CHECK(shows("punctual_task_runs_total{task=\"t9999\",state=\"missed\"} 1\n"));
    CHECK(!shows("task=\"job\""));
    CHECK(!shows("(others)\","));
    end_world();
}

TEST(a_task_that_is_made_again_does_not_give_way)
{
    begin_world();
    put("job", "{" HOOK "}");
    ask("job", NULL, WALL_NONE);
    land_everything();
    tell(MESSAGE_DELETE_TASK, "job");
    put("job", "{" HOOK "}");
    ask("job", NULL, WALL_NONE);
    for (int i = 0; i < ROOM; i++)
        count_missed(i);
    CHECK(shows("punctual_task_runs_total{task=\"job\",state=\"scheduled\"} 2\n"));
    CHECK(shows("punctual_task_runs_total{task=\"(others)\",state=\"missed\"} 1\n"));
    end_world();
}

TESTS_MAIN
