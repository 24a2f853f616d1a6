// What the page knows of the daemon. link.js writes it, everything else reads it.

import { EventLog } from './events.js';
import { History } from './history.js';

const SUMS = ['open', 'in', 'out', 'requests', 'events'];

export const model = {
	link: { state: 'connecting', since: 0, retry_at: 0, why: '' }, // why: refused.*
	status: null,
	status_ms: 0,        // when it came, by this machine's clock
	services: new Map(), // name → { row, rate: {in, out, requests}, history }
	totals: Object.fromEntries(SUMS.map((name) => [name, 0])),
	histories: Object.fromEntries(SUMS.map((name) => [name, new History()])),
	role: null,
	log: new EventLog(),
	missed: 0,
};

/** Whether a status comes from another run of the daemon than the one known. */
export const is_other_run = (status) => !model.status
	|| status.started !== model.status.started || status.pid !== model.status.pid;

export function forget() {
	model.status = null;
	model.services.clear();
	model.role = null;
	model.log.clear();
}

const requests_of = (row) => row.requests ?? row.opened + row.datagrams_in;

function per_second(now, before, seconds) {
	return before === undefined ? 0 : Math.max(0, now - before) / seconds;
}

function take_service(row, seconds, skipped) {
	const known = model.services.get(row.name);
	const old = known?.row;
	const rate = {
		in: per_second(row.bytes_in, old?.bytes_in, seconds),
		out: per_second(row.bytes_out, old?.bytes_out, seconds),
		requests: per_second(requests_of(row), old && requests_of(old), seconds),
	};
	const history = known?.history ?? new History();
	if (old) {
		history.skip(skipped);
		history.push(rate.in + rate.out);
	}
	return { row, rate, history };
}

/** A status: the rates are its difference from the one before. */
export function take_status(status) {
	const before = model.status;
	const elapsed = before ? (Date.parse(status.time) - Date.parse(before.time)) / 1000 : 0;
	if (before && elapsed < 0.2)
		return; // the same moment again: no rate can be had from it
	const seconds = elapsed || 1;
	const skipped = Math.max(0, Math.round(elapsed) - 1);
	const services = status.services || [];

	model.services = new Map(services.map((row) => [row.name,
		take_service(row, seconds, skipped)]));
	const all = [...model.services.values()];
	const sum = (of) => all.reduce((total, one) => total + of(one), 0);
	model.totals = {
		open: sum((one) => one.row.open),
		in: sum((one) => one.rate.in),
		out: sum((one) => one.rate.out),
		requests: sum((one) => one.rate.requests),
		events: per_second(status.events.seq, before?.events.seq, seconds),
	};
	for (const name of SUMS) {
		if (before || name === 'open') {
			model.histories[name].skip(skipped);
			model.histories[name].push(model.totals[name]);
		}
	}
	if (!status.role)
		model.role = null;
	model.status = status;
	model.status_ms = Date.now();
}

/** The time by the daemon's clock, as far as it is known. */
export function daemon_now() {
	return model.status ? Date.parse(model.status.time) + Date.now() - model.status_ms : Date.now();
}

/** How many are in the queue of role, those included that the daemon did not list. */
export const in_line = () => model.role?.total ?? model.role?.members.length;

export const principal = () => model.role?.members.find((one) => one.role === 'principal');
