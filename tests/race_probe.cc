// Two threads add to one number. Under the thread sanitizer this program must fail, as CTest
// expects of it: if it does not, a green suite under that sanitizer says nothing.
#include <cstdio>
#include <thread>

namespace {
int g_sum = 0;
void add() {
  for (int i = 0; i < 1000; ++i) ++g_sum;
}
}  // namespace

int main() {
  std::thread other(add);
  add();
  other.join();
  std::printf("%d\n", g_sum);
}
