/*
 * serve - punctual serve
 *
 * Builds the house from the ground (store, dispatcher, scheduler, front), keeps it until a signal
 * or a failure, and takes it down in the opposite order. Crash-only: starting is migrate, recover,
 * fill the due index, listen, whatever the last process left.
 */
#pragma once

int serve_command(int argc, char **argv);
