// Never comes back.
#include "cordon_kernel.h"

void cordon_step(double *q, double *, int, double)
{
	for (volatile double spin = q[0];; spin = spin + 1)
		;
}
