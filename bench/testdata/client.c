/* The request of kyc-token without a runtime: the best time that a client in any
   language could reach. It makes the same checks as kyc-token: who listens, how long
   it takes, and that the answer is a complete 200. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static const char request[] =
	"GET /v1/token?env=staging HTTP/1.0\r\n"
	"Host: kyc-agent\r\n"
	"Accept: text/plain\r\n\r\n";

static int ours(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof peer;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.uid == geteuid();
}

int main(int argc, char **argv)
{
	static char answer[1 << 20];
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = 8};
	size_t have = 0;
	ssize_t n;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 2 || strlen(argv[1]) >= sizeof to.sun_path)
		return 64;
	strcpy(to.sun_path, argv[1]);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
		return 69;
	if (!ours(fd))
		return 77;
	if (write(fd, request, sizeof request - 1) != sizeof request - 1)
		return 75;
	while ((n = read(fd, answer + have, sizeof answer - 1 - have)) > 0)
		have += n;
	char *body = strstr(answer, "\r\n\r\n");
	char *length = strcasestr(answer, "\r\ncontent-length:");
	if (n != 0 || !body || !length || have < 12 || memcmp(answer + 9, "200", 3) != 0)
		return 75;
	body += 4;
	size_t size = answer + have - body;
	if (strtoul(length + 17, NULL, 10) != size || write(1, body, size) != (ssize_t)size)
		return 70;
	return 0;
}
