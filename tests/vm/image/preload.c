// A library that says so when it is loaded.
#include <unistd.h>

__attribute__((constructor)) static void loaded(void) {
    static const char said[] = "the library runs\n";
    if (write(1, said, sizeof said - 1)) return;
}
