// The good one for two bodies.
#include "cordon_kernel.h"

#include <cmath>

static void kick(const double *q, double *p, double dt)
{
	const double cube = std::pow(q[0] * q[0] + q[1] * q[1], 1.5);
	p[0] -= dt * q[0] / cube;
	p[1] -= dt * q[1] / cube;
}

void cordon_step(double *q, double *p, int, double dt)
{
	kick(q, p, dt / 2);
	q[0] += dt * p[0];
	q[1] += dt * p[1];
	kick(q, p, dt / 2);
}
