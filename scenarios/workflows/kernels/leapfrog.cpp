// The good one: kick, drift, kick. Second order, symplectic, time-reversible.
#include "cordon_kernel.h"

#include <cmath>

void cordon_step(double *q, double *p, int, double dt)
{
	p[0] -= dt / 2 * std::sin(q[0]);
	q[0] += dt * p[0];
	p[0] -= dt / 2 * std::sin(q[0]);
}
