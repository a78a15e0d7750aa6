#include "dispatch/command.h"

#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <sys/stat.h>

#include "dispatching.h"

static struct task task;
static char *argv[8];

// A command as a shell script: only here, tasks have no shell.
static void begin_with(char *script)
{
    begin();
    task = task_for(TARGET_COMMAND);
    task.name = "nightly";
    argv[0] = "/bin/sh";
    argv[1] = "-c";
    argv[2] = script;
    argv[3] = NULL;
    task.target.command.argv = argv;
    start();
}

// Runs it once from begin to end; the report is the caller's.
static struct message *run(char *script)
{
    begin_with(script);
    struct message *report = attempt(&task);
    end();
    return report;
}

TEST(a_command_that_exits_with_0_succeeds)
{
    struct message *report = run("echo out; echo err >&2");
    struct attempt *a = &report->attempt;
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK_INT(0, a->status);
    CHECK_TEXT("out\nerr\n", a->response);
    CHECK(!a->error);
    CHECK(a->response_time_us > 0 && a->lateness_us >= 0);
    CHECK_INT(-1, a->dns_us);
    CHECK_INT(-1, a->first_byte_us);
    CHECK_INT(-1, a->db_calls);
    message_free(report);
}

TEST(an_exit_code_that_is_not_expected_has_failed)
{
    struct message *report = run("exit 3");
    CHECK_OUTCOME(ATTEMPT_FAILED, report);
    CHECK_TEXT("exit code 3; expected 0", report->attempt.error);
    CHECK_INT(3, report->attempt.status);
    message_free(report);
}

TEST(a_command_killed_by_a_signal_has_failed)
{
    struct message *report = run("kill -SEGV $$");
    CHECK_OUTCOME(ATTEMPT_FAILED, report);
    CHECK_TEXT("killed by SIGSEGV", report->attempt.error);
    CHECK_INT(-1, report->attempt.status);
    message_free(report);
}

TEST(a_command_that_does_not_exit_in_time_is_asked_to_end)
{
    begin_with("sleep 30 & wait");
    task.timeout_us = 100 * MILLISECOND;
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_TIMED_OUT, report);
    CHECK_TEXT("no exit within 100ms; the process group was ended with SIGTERM",
               report->attempt.error);
    CHECK(report->attempt.response_time_us < 2 * SECOND);
    message_free(report);
    end();
}

TEST(a_command_that_ignores_sigterm_is_killed)
{
    begin_with("trap '' TERM; echo ready; while :; do sleep 30; done");
    task.timeout_us = 100 * MILLISECOND;
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_TIMED_OUT, report);
    CHECK_TEXT("no exit within 100ms; the process group was ended with SIGKILL",
               report->attempt.error);
    CHECK(report->attempt.response_time_us >= 300 * MILLISECOND);
    CHECK_TEXT("ready\n", report->attempt.response);
    message_free(report);
    end();
}

// Whether the process whose number the response begins with is there, and not merely waiting to be
// reaped.
static bool lives(const struct message *report)
{
    char path[64], state[200] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", atoi(report->attempt.response));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    (void)!read(fd, state, sizeof state - 1);
    close(fd);
    const char *end = strrchr(state, ')');
    return end && end[2] != 'Z' && end[2] != 'X';
}

TEST(what_a_command_leaves_in_the_background_is_killed)
{
    steady before = steady_now();
    struct message *report = run("sleep 30 & echo $!");
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK(steady_now().us - before.us < 2 * SECOND);
    for (int i = 0; i < 1000 && lives(report); i++)
        poll(NULL, 0, 1);
    CHECK(!lives(report));
    message_free(report);
}

TEST(a_daemon_in_a_session_of_its_own_is_killed_too)
{
    static char *scripts[] = {
        "setsid sleep 30 & echo $!; sleep 0.1",
        // Forked twice, with an environment of its own: nothing tells where it came from.
        "(env -i setsid sh -c 'echo $$; exec sleep 30' &) ; sleep 0.2",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        test_row = scripts[i];
        steady before = steady_now();
        struct message *report = run(scripts[i]);
        CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
        CHECK(steady_now().us - before.us < 3 * SECOND);
        CHECK(atoi(report->attempt.response) > 0);
        CHECK(!lives(report));
        message_free(report);
    }
}

TEST(a_command_that_kills_its_keeper_dies_with_it_and_so_does_its_daemon)
{
    struct message *report =
        run("setsid sleep 30 & echo $!; kill -9 $PPID; sleep 30 & echo $!; wait");
    CHECK_OUTCOME(ATTEMPT_BROKEN, report);
    CHECK_HAS("the process that looked after it was killed", report->attempt.error);
    for (int i = 0; i < 2000 && lives(report); i++)
        poll(NULL, 0, 1);
    CHECK(!lives(report));
    message_free(report);
}

TEST(where_the_nursery_was_killed_the_next_command_starts_another)
{
    // The shell's parent is its keeper, whose parent is the nursery.
    begin_with("read -r pid name state nursery rest </proc/$PPID/stat; kill -9 $nursery; "
               "until grep -q '^State:.Z' /proc/$nursery/status; do :; done; echo on");
    for (int i = 0; i < 2; i++) {
        struct message *report = attempt(&task);
        CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
        CHECK_TEXT("on\n", report->attempt.response);
        message_free(report);
    }
    end();
}

TEST(of_a_big_output_the_first_bytes_are_kept)
{
    struct message *report = run("printf begin; head -c 3000000 /dev/zero");
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK_INT(4096, report->attempt.response_size);
    CHECK(strncmp(report->attempt.response, "begin", 6) == 0);
    message_free(report);
}

TEST(a_command_that_cannot_be_started_is_refused_in_words)
{
    begin_with("");
    argv[0] = "/nonexistent/command";
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    CHECK_TEXT("cannot start /nonexistent/command: No such file or directory",
               report->attempt.error);
    message_free(report);
    argv[0] = "/etc/passwd";
    report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    CHECK_TEXT("cannot start /etc/passwd: Permission denied", report->attempt.error);
    message_free(report);
    argv[0] = "/bin/sh";
    task.target.command.cwd = "/nonexistent";
    report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    CHECK_TEXT("cannot enter /nonexistent: No such file or directory", report->attempt.error);
    message_free(report);
    end();
}

TEST(commands_run_only_where_they_are_allowed)
{
    begin_with("echo hello");
    dispatcher_stop(dispatcher);
    options.allow_commands = false;
    start();
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    CHECK_HAS("allow_commands", report->attempt.error);
    message_free(report);
    end();
}

TEST(the_environment_is_small_and_says_which_run_it_is)
{
    struct pair variables[] = {{"MODE", "fast"}, {"PUNCTUAL_FENCE", "99"}, {"LANG", "xx"}};
    setenv("SERVER_PRIVATE", "made up", 1);
    begin_with("env | sort");
    task.target.command.env = variables;
    task.target.command.env_count = 3;
    options.response_max = 60000;
    struct order *order = order_for(&task, wall_now());
    char expected[60];
    run_id_format(order->run, expected);
    post(order);
    struct message *report = next_report();
    const char *out = report->attempt.response;
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK_HAS(expected, out);
    CHECK_HAS("PUNCTUAL_RUN=run_", out);
    CHECK_HAS("PUNCTUAL_TASK=nightly\n", out);
    CHECK_HAS("PUNCTUAL_ATTEMPT=2\n", out);
    CHECK_HAS("PUNCTUAL_FENCE=7\n", out);
    CHECK_HAS("PUNCTUAL_SCHEDULED_FOR=2", out);
    CHECK_HAS("PUNCTUAL_URL=http://127.0.0.1:8640\n", out);
    CHECK_HAS("PUNCTUAL_REPORT=/", out);
    CHECK_HAS("MODE=fast\n", out);
    CHECK_HAS("LANG=xx\n", out);
    CHECK_HAS("PATH=", out);
    CHECK(!strstr(out, "SERVER_PRIVATE"));
    message_free(report);
    end();
}

TEST(the_folder_is_the_one_asked_for)
{
    begin_with("pwd");
    task.target.command.cwd = "/usr";
    struct message *report = attempt(&task);
    CHECK_TEXT("/usr\n", report->attempt.response);
    message_free(report);
    end();
}

TEST(a_command_has_only_its_three_descriptors_and_no_blocked_signals)
{
    struct message *report =
        run("n=3; while [ $n -lt 64 ]; do [ -e /proc/$$/fd/$n ] && echo open $n; n=$((n+1)); done; "
            "read -r pid name state parent group rest </proc/$$/stat; test $group = $$ && "
            "echo leader; exec grep -E 'Sig(Blk|Ign)' "
            "/proc/self/status");
    const char *out = report->attempt.response, *ignored = strstr(out, "SigIgn:\t");
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK_HAS("SigBlk:\t0000000000000000\n", out);
    CHECK(strncmp(out, "leader\nSigBlk", 13) == 0);
    // All but 32 and 33, which are libc's own.
    CHECK(ignored && (strtoull(ignored + 8, NULL, 16) & ~UINT64_C(0x180000000)) == 0);
    message_free(report);
}

TEST(standard_input_is_the_text_or_the_payload_or_nothing)
{
    begin_with("cat");
    struct message *report = attempt(&task);
    CHECK_TEXT("", report->attempt.response);
    message_free(report);
    task.payload = "{\"kind\":\"daily\"}";
    task.payload_size = strlen(task.payload);
    report = attempt(&task);
    CHECK_TEXT(task.payload, report->attempt.response);
    message_free(report);
    task.target.command.stdin_text = "lines\n";
    report = attempt(&task);
    CHECK_TEXT("lines\n", report->attempt.response);
    message_free(report);
    end();
}

TEST(a_big_input_is_written_without_waiting_for_it)
{
    begin_with("sleep 0.1; wc -c");
    task.payload_size = 250000;
    task.payload = memory_new(task.payload_size + 1);
    memset(task.payload, 'x', task.payload_size);
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK_INT(250000, atoi(report->attempt.response));
    message_free(report);
    argv[2] = "exit 0"; // does not read at all
    report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    message_free(report);
    end();
    free(task.payload);
}

static size_t report_files(void)
{
    glob_t found;
    size_t count = glob("/tmp/punctual-??????", 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    globfree(&found);
    return count;
}

TEST(a_command_reports_through_a_file_that_is_removed)
{
    unsetenv("TMPDIR");
    size_t before = report_files();
    struct message *report = run(
        "echo '{\"cache\": \"miss\", \"db_calls\": 6, \"db_time_ms\": 12.5}' > $PUNCTUAL_REPORT");
    CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
    CHECK_INT(CACHE_COLD, report->attempt.cache);
    CHECK_INT(6, report->attempt.db_calls);
    CHECK_INT(12500, report->attempt.db_time_us);
    message_free(report);
    CHECK_INT(before, report_files());
}

TEST(a_report_file_that_is_nonsense_changes_nothing)
{
    static char *scripts[] = {
        "echo nonsense > $PUNCTUAL_REPORT",
        "rm $PUNCTUAL_REPORT",
        "rm $PUNCTUAL_REPORT; mkfifo $PUNCTUAL_REPORT",
        "rm $PUNCTUAL_REPORT; ln -s /etc/passwd $PUNCTUAL_REPORT",
        "head -c 100000 /dev/zero > $PUNCTUAL_REPORT",
    };
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++) {
        test_row = scripts[i];
        struct message *report = run(scripts[i]);
        CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
        CHECK_INT(-1, report->attempt.db_calls);
        message_free(report);
    }
}

TEST(where_no_report_file_can_be_made_the_command_is_not_started)
{
    begin_with("exit 0");
    setenv("TMPDIR", "/nonexistent", 1);
    struct message *report = attempt(&task);
    CHECK_OUTCOME(ATTEMPT_REFUSED, report);
    CHECK_HAS("cannot start /bin/sh", report->attempt.error);
    message_free(report);
    unsetenv("TMPDIR");
    end();
}

TEST(an_abort_ends_the_command)
{
    begin_with("echo ready; exec sleep 30");
    run_id run = post(order_for(&task, wall_now()));
    poll(NULL, 0, 100);
    post_abort(run);
    post_abort(run);
    struct message *report = next_report();
    CHECK_OUTCOME(ATTEMPT_CANCELED, report);
    CHECK_TEXT("stopped on request", report->attempt.error);
    message_free(report);
    end();
}

TEST(a_drain_ends_commands_that_take_too_long)
{
    begin_with("trap '' TERM; while :; do sleep 1; done");
    post(order_for(&task, wall_now()));
    post_drain(100 * MILLISECOND);
    struct message *report = next_report();
    CHECK_OUTCOME(ATTEMPT_CANCELED, report);
    CHECK_TEXT("the server stopped", report->attempt.error);
    message_free(report);
    report = next_report();
    CHECK_INT(MESSAGE_DRAINED, report->kind);
    message_free(report);
    end();
}

TEST(a_stop_kills_commands_and_reports_them)
{
    begin_with("trap '' TERM; while :; do sleep 1; done");
    post(order_for(&task, wall_now()));
    poll(NULL, 0, 100);
    dispatcher_stop(dispatcher);
    struct message *report = next_report();
    CHECK_OUTCOME(ATTEMPT_CANCELED, report);
    message_free(report);
    start();
    end();
}

TEST(many_commands_run_at_once)
{
    begin_with("sleep 0.2");
    steady before = steady_now();
    for (int i = 0; i < 30; i++)
        post(order_for(&task, wall_now()));
    for (int i = 0; i < 30; i++) {
        struct message *report = next_report();
        CHECK_OUTCOME(ATTEMPT_SUCCEEDED, report);
        message_free(report);
    }
    CHECK(steady_now().us - before.us < 4 * SECOND);
    end();
}

TESTS_MAIN
