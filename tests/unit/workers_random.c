// Workers that do anything in any order, against a model that knows only what they were told. A
// failing seed says itself, and plays again alone with SEED=n.
#include "workers_world.h"

#define RUNS 12
#define STEPS 150
#define SEEDS 40

// What a worker knows of a run.
struct held {
    run_id run;
    int64_t fence; // of the newest lease handed out; 0: none
    steady until;  // it is surely good for so long
    bool live;     // not ended by a word or a cancel
    bool final;
};

static struct random chance;
static struct held helds[RUNS];
static int held_count;

static int64_t draw(int64_t bound)
{
    return random_below(&chance, bound);
}

static steady steady_now_of_test(void)
{
    return (steady){now.us - ahead_us};
}

static struct held *held_of(run_id run)
{
    for (int i = 0; i < held_count; i++)
        if (helds[i].run.value == run.value)
            return &helds[i];
    TEST_FAIL("a run was handed out that nobody made");
}

static void create(void)
{
    if (held_count == RUNS)
        return;
    wall due = draw(2) ? WALL_NONE : wall_plus(now, draw(MINUTE));
    helds[held_count++] = (struct held){.run = ask(NULL, MAIL "}", due)};
}

static void hand_out_some(void)
{
    int64_t length_us = SECOND + draw(MINUTE);
    struct message *m = poll_for("emails", 1 + (int)draw(4), 0, length_us);
    for (size_t i = 0; i < m->lease_count; i++) {
        struct held *held = held_of(m->leases[i].attempt.run);
        CHECK(!held->final);
        CHECK(m->leases[i].attempt.fence > held->fence);                 // fences only grow
        CHECK(!held->live || steady_now_of_test().us >= held->until.us); // leases never overlap
        held->fence = m->leases[i].attempt.fence;
        held->until = steady_plus(steady_now_of_test(), length_us);
        held->live = true;
    }
    message_free(m);
}

// A word with the newest fence, or with another one.
static void speak(void)
{
    if (!held_count)
        return;
    struct held *held = &helds[draw(held_count)];
    enum lease_word word = (enum lease_word)draw(LEASE_WORD_COUNT);
    int64_t fence = held->fence + (draw(3) ? 0 : draw(5) - 2);
    if (fence < 1)
        return;
    struct message *m = word_of(word, held->run, fence);
    m->leases->extend_us = draw(2) ? -1 : SECOND + draw(MINUTE);
    int64_t extend_us = m->leases->extend_us;
    turn(m);
    bool counted = strstr(m->reply.body.data, FINE) != NULL;
    message_free(m);
    if (fence != held->fence || !held->live)
        CHECK(!counted);
    else if (steady_now_of_test().us < held->until.us)
        CHECK(counted);
    if (!counted)
        return;
    steady until = steady_plus(steady_now_of_test(), extend_us > 0 ? extend_us : 0);
    if (word == WORD_HEARTBEAT && until.us > held->until.us)
        held->until = until;
    held->live = word == WORD_HEARTBEAT;
    held->final |= word == WORD_COMPLETE;
}

static void cancel_one(void)
{
    if (!held_count || draw(4))
        return;
    struct held *held = &helds[draw(held_count)];
    struct message *m = message_new(MESSAGE_CANCEL_RUN);
    m->run = held->run;
    turn(m);
    if (m->reply.status == STATUS_OK) {
        held->final = true;
        held->live = false;
    }
    message_free(m);
}

static void crash(void)
{
    outage(draw(2) ? 0 : draw(MINUTE));
}

static void set_the_clock(void)
{
    int64_t step_us = draw(2 * HOUR) - HOUR;
    now = wall_plus(now, step_us);
    ahead_us += step_us;
}

static void wait_a_while(void)
{
    pass(draw(20 * SECOND));
}

// Attempts are numbered without holes, and each but that under way is on record.
static void check_records(void)
{
    struct reader *reader = read_store();
    for (int i = 0; i < held_count; i++) {
        struct run run = look(helds[i].run);
        struct attempt *attempts = NULL;
        size_t count = 0;
        CHECK_INT(STATUS_OK, reader_list_attempts(reader, run.id, &attempts, &count));
        CHECK_INT(run.attempts - (run.state == RUN_RUNNING), count);
        CHECK(run.attempts <= 3);
        for (size_t k = 0; k < count; k++) {
            CHECK_INT(k + 1, attempts[k].number);
            CHECK(k == 0 || attempts[k].fence > attempts[k - 1].fence);
            attempt_done(&attempts[k]);
        }
        free(attempts);
    }
    reader_close(reader);
}

static void play(int64_t seed)
{
    static void (*const deeds[])(void) = {create,       create,     hand_out_some, hand_out_some,
                                          speak,        speak,      speak,         speak,
                                          wait_a_while, cancel_one, crash,         set_the_clock};
    held_count = 0;
    begin_random_world((uint64_t)seed, &chance);
    for (int i = 0; i < STEPS; i++)
        deeds[draw(sizeof deeds / sizeof *deeds)]();
    check_records();
    end_world();
}

TEST(whatever_workers_do_leases_never_overlap_and_fences_only_grow)
{
    const char *seed = getenv("SEED");
    for (int64_t i = seed ? atoll(seed) : 1; i <= (seed ? atoll(seed) : SEEDS); i++)
        play(i);
}

TESTS_MAIN
