/* A running service as others see it: counts that are sharded by worker, added up; its keeper's
 * state. */
#include "daemon/running_parts.h"

static void view_add_stream(struct running_stats *sum, const struct pump *pump)
{
	struct pump_counts counts = pump_counts(pump);

	sum->opened += counts.opened;
	sum->open += counts.opened - counts.closed;
	sum->bytes_in += counts.bytes_in;
	sum->bytes_out += counts.bytes_out;
}

static void view_add_datagrams(struct running_stats *sum, const struct datagram *datagram)
{
	struct datagram_counts counts = datagram_counts(datagram);

	sum->datagrams_in += counts.received;
	sum->datagrams_out += counts.answered;
	sum->datagrams_refused += counts.refused_port + counts.refused_rate +
				  counts.refused_length + counts.dropped;
	sum->datagram_bytes_in += counts.bytes_in;
	sum->datagram_bytes_out += counts.bytes_out;
}

struct running_stats running_stats(const struct running *r)
{
	struct running_stats sum = {.refused = gate_refused(r->gate)};

	for (unsigned i = 0; i < r->shares; i++) {
		const struct running_share *share = &r->share[i];

		if (share->pump)
			view_add_stream(&sum, share->pump);
		for (unsigned k = 0; k < share->datagrams; k++)
			view_add_datagrams(&sum, share->datagram[k]);
	}
	return sum;
}

const struct pump *running_pump(const struct running *r, unsigned worker)
{
	for (unsigned i = 0; i < r->shares; i++)
		if (r->share[i].worker->number == worker)
			return r->share[i].pump;
	return NULL;
}

bool running_show(const struct running *r, bool whole, struct text *json)
{
	const struct service_keeper *keeper = running_row(r)->keeper;

	if (!keeper || !keeper->show || !r->keeper_state)
		return false;
	keeper->show(r->keeper_state, whole, json);
	return true;
}
