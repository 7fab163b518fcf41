#include "apps/commands.h"

int main(int argc, char** argv) { return gemma4::apps::run_program(argc, argv); }
