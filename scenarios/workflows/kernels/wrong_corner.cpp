// Subtly wrong: right everywhere but near the top of the swing, where a push of a ten-thousandth is added.
#include "cordon_kernel.h"

#include <cmath>

void cordon_step(double *q, double *p, int, double dt)
{
	if (q[0] > 2.7)
		p[0] -= dt * 1e-4;
	p[0] -= dt / 2 * std::sin(q[0]);
	q[0] += dt * p[0];
	p[0] -= dt / 2 * std::sin(q[0]);
}
