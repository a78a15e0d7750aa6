/*
 * leave - what the exit codes mean
 *
 * One list for every command; docs/reference/cli.md and `punctual help` say the same.
 */
#pragma once

enum leave {
    LEAVE_OK = 0,
    LEAVE_NO = 1, // asked and answered, and the answer is no: a failed run, a difference, a wrong
                  // definition
    LEAVE_USAGE = 2,       // the command line makes no sense
    LEAVE_UNREACHABLE = 3, // no answer from the server
    LEAVE_REFUSED = 4,     // the server refused: 4xx
    LEAVE_TROUBLE = 5,     // the server is in trouble: 5xx, or an answer that makes no sense
    LEAVE_INTERRUPTED = 130,
};
