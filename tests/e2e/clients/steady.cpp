// Asks a group for its status without a pause, and for its position, which goes another way to the
// emulator; tells the longest time that one answer took.
//
//   e2e_steady GROUP SECONDS        fails when an answer took a second or longer
//   e2e_steady GROUP until-error    goes on until an ioctl fails, and tells how
#include <algorithm>

#include "client.hpp"

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const int group = OpenNode(argv[1]);
  Require(group >= 0, "open of the group");
  printf("open\n");
  fflush(stdout);
  const bool until_error = strcmp(argv[2], "until-error") == 0;
  const double seconds = until_error ? 60 : atof(argv[2]);
  const auto start = Clock::now();
  double longest = 0;
  unsigned long count = 0;
  for (; SecondsSince(start) < seconds; count++) {
    vfio_group_status status{sizeof status, 0};
    const auto before = Clock::now();
    const int result = ioctl(group, VFIO_GROUP_GET_STATUS, &status);
    if (result == 0)
      Expect(lseek(group, 0, SEEK_CUR) == -1 && (until_error || errno == ESPIPE),
             "a group has no position");
    longest = std::max(longest, SecondsSince(before));
    if (result == 0) continue;
    printf("after %lu answers: %s\n", count, strerrorname_np(errno));
    return until_error ? 0 : 1;
  }
  printf("%lu answers, the longest took %.0f ms\n", count, longest * 1000);
  Expect(!until_error, "the ioctl fails");
  Expect(count >= 1000, "there were thousands of answers");
  Expect(longest < 1, "no answer took a second");
}
