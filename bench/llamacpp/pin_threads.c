// For LD_PRELOAD: binds every compute thread of llama.cpp to a CPU of its own, as the engine it is
// compared with does. The binding has no option for that, and on machines that put waking threads
// onto one CPU two that spin for each other would share it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

typedef int create_function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static cpu_set_t allowed;  // as it is before any thread is bound

__attribute__((constructor)) static void read_allowed(void) {
  sched_getaffinity(0, sizeof allowed, &allowed);
}

static void bind(pthread_t thread, int index) {
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &allowed) && index-- == 0) CPU_SET(cpu, &one);
  pthread_setaffinity_np(thread, sizeof one, &one);
}

// A compute thread is one whose code lies in libggml-cpu. Its creator computes too, on the first CPU;
// the others come in turn, since threads are made anew for every step.
int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *),
                   void *argument) {
  static atomic_int turn;
  create_function *create = (create_function *)dlsym(RTLD_NEXT, "pthread_create");
  const int others = CPU_COUNT(&allowed) - 1;
  Dl_info code;
  const int computes = dladdr((void *)start, &code) != 0 && code.dli_fname != NULL &&
                       strstr(code.dli_fname, "libggml-cpu") != NULL;
  const int result = create(thread, attr, start, argument);
  if (!computes || result != 0 || others < 1) return result;
  bind(pthread_self(), 0);
  bind(*thread, 1 + atomic_fetch_add(&turn, 1) % others);
  return result;
}
