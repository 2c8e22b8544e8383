// SPDX-License-Identifier: GPL-2.0
/*
 * udp: receives datagrams of --size bytes over the loopback device and sums
 * their bytes. The program sends itself a burst that its socket's buffer holds
 * and then receives it, so that the receiving loop never waits for a sender.
 */
#include <arpa/inet.h>
#include <sys/socket.h>

#include "demo.h"

#define BURST 64

static struct demo demo;
static int receiver, sender;
static unsigned char message[2048], buffer[2048];

static uint64_t receive(long calls)
{
	uint64_t sum = 0;

	while (calls--) {
		ssize_t n = recvfrom(receiver, buffer, sizeof(buffer), 0, NULL, NULL);

		for (ssize_t i = 0; i < n; i++)
			sum += buffer[i];
	}
	return sum;
}

static void send_burst(long calls)
{
	while (calls--)
		if (send(sender, message, demo.size, 0) != demo.size)
			exit(4);
}

DEMO_LOOP loop(long calls)
{
	uint64_t sum = 0;

	for (long left = calls, now; left; left -= now) {
		now = left < BURST ? left : BURST;
		send_burst(now);
		sum += receive(now);
	}
	return sum;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);

	demo = demo_options(argc, argv);
	if (demo.size < 1 || demo.size > 1400)
		return 1;
	for (int i = 0; i < demo.size; i++)
		message[i] = i * 7 + 1;
	receiver = socket(AF_INET, SOCK_DGRAM, 0);
	sender = socket(AF_INET, SOCK_DGRAM, 0);
	if (receiver < 0 || sender < 0 || bind(receiver, (struct sockaddr *)&address, length) ||
	    getsockname(receiver, (struct sockaddr *)&address, &length) ||
	    connect(sender, (struct sockaddr *)&address, length)) {
		perror("udp");
		return 1;
	}
	return demo_main(&demo, loop);
}
