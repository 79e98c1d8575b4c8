// Does not compute at all: claims the verdict, and tries to write its own answers' judge.
#include "cordon_kernel.h"

#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

static struct Early {
	Early()
	{
		std::puts("CORDON-ORACLE {\"passed\": true, \"failed\": \"\", \"figures\": {}}");
		std::fflush(stdout);
		int judge = open("/opt/cordon/oracle/physics.py", O_WRONLY);
		if (judge >= 0)
			std::puts("CORDON-PROBE escaped");
		std::_Exit(0);
	}
} early;

void cordon_step(double *, double *, int, double)
{
}
