#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <vfiolab/vfiolab.h>

int main(void) {
  char* errors = NULL;
  struct vfiolab_host* host = vfiolab_create(
      "{\"devices\": [{\"bdf\": \"0000:01:00.0\", \"model\": \"edu\"}],"
      " \"groups\": [{\"id\": 1, \"members\": [\"0000:01:00.0\"]}]}",
      "topology", &errors);
  if (host == NULL) return fputs(errors, stderr), 1;
  const int group = vfiolab_open(host, "/dev/vfio/1", O_RDWR);
  printf("%s\n", group >= 0 ? "opened" : "not opened");
  vfiolab_destroy(host);
  return 0;
}
