/* Prints the addresses that getaddrinfo gives for a name. */
#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

int main(int count, char **arguments)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
	int error = count == 2 ? getaddrinfo(arguments[1], "80", &hints, &found) : EAI_FAIL;
	if (error) {
		puts(gai_strerror(error));
		return 1;
	}
	for (; found; found = found->ai_next) {
		char text[INET6_ADDRSTRLEN];
		const void *address = found->ai_family == AF_INET6
			? (const void *)&((struct sockaddr_in6 *)found->ai_addr)->sin6_addr
			: (const void *)&((struct sockaddr_in *)found->ai_addr)->sin_addr;
		puts(inet_ntop(found->ai_family, address, text, sizeof text));
	}
	return 0;
}
