// The link to the daemon: status, then the stream for as long as it lasts; and again after a wait
// that doubles. Nothing is tried while the page is hidden.
//
//   status ──► same run, and an event's id known ──► stream from that id on
//          └─► else: stream from now on, and beside it the log of what happened before

import { event_of, page_event } from './events.js';
import { parse } from './format.js';
import { forget, in_line, is_other_run, model, take_status } from './model.js';
import { read_stream } from './stream.js';

const ANSWER_MS = 10000;  // a request that takes longer has failed
const SILENCE_MS = 5000;  // a status comes each second: after this the link is dead
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 15000;
const STEADY_MS = 5000;   // a link that held this long starts the waits anew
const LOG_FIRST = 1000;

const listeners = new Map();
let wait_ms = FIRST_WAIT_MS;
let timer = 0;
let abort = null; // of the attempt or stream under way
let heard_ms = 0;
let last_id;        // of the stream's last event, as it was sent
let filling = null; // what the stream says while the log is being read

/** Calls back on 'link', 'status', 'role', 'log' (an array of new events), 'reset' and 'login'. */
export function on(name, call) {
	listeners.set(name, [...(listeners.get(name) || []), call]);
}

function say(name, value) {
	for (const call of listeners.get(name) || [])
		call(value);
}

function set_link(state, retry_at = 0) {
	if (state === 'live')
		model.link = { ...model.link, since: 0, why: '' };
	else if (!model.link.since && model.status)
		model.link.since = Date.now();
	model.link = { ...model.link, state, retry_at };
	say('link');
}

/** What a refusal says: its status, its word and its text. */
async function refusal(response) {
	const { error = '', text = '' } = await response.json().catch(() => ({}));
	return { status: response.status, word: error, text };
}

/** GET, as JSON. An answer other than 200 throws an Error with its `status`, `word` and `text`. */
export async function ask(path, signal) {
	const signals = [AbortSignal.timeout(ANSWER_MS), ...(signal ? [signal] : [])];
	const response = await fetch(path, { signal: AbortSignal.any(signals), cache: 'no-store' });
	if (!response.ok)
		throw Object.assign(new Error(`${path}: ${response.status}`), await refusal(response));
	return parse(await response.text());
}

export async function ask_role() {
	model.role = await ask('api/role', abort?.signal);
	say('role');
}

function status_came(status) {
	take_status(status);
	say('status');
	const { role } = status;
	if (role && (role.epoch !== model.role?.epoch || role.members !== in_line()))
		ask_role().catch(() => {}); // the next status asks again
}

function event_came({ name, id, data }) {
	heard_ms = Date.now();
	const value = parse(data);
	if (name === 'status') {
		if (is_other_run(value))
			abort.abort(); // started anew between our two requests: from the beginning
		else
			status_came(value);
	} else if (name === 'role') {
		model.role = value;
		say('role');
	} else if (name === 'gap') {
		gap_came(value);
	} else if (name === 'message') {
		last_id = id ?? last_id;
		value.seq ??= Number.parseInt(id, 10);
		if (filling)
			filling.push(value);
		else
			add_newer([value]);
	}
}

function gap_came({ from, to }) {
	const n = Number(to) - Number(from) + 1;
	if (n <= 0 || Number(from) === 0)
		return; // from 0: another run of the daemon, which the status says too
	model.missed += n;
	add([page_event(Number(to), Date.now(), 3, 'log.gap', { n, from, to })]);
}

function add(events) {
	events.forEach((event) => model.log.add(event));
	say('log', events);
}

function add_newer(values) {
	const { last } = model.log;
	add(values.filter(({ seq }) => Number(seq) > last).map(event_of));
}

async function first_look(signal) {
	const status = await ask('api/status', signal);
	if (is_other_run(status)) {
		const is_restart = model.status !== null;
		forget();
		last_id = undefined;
		say('reset');
		if (is_restart)
			add([page_event(0, Date.now(), 2, 'log.restarted', {})]);
	}
	status_came(status);
}

/** What happened before, while the stream goes on. */
async function fill_log(signal) {
	const { last } = model.log;
	const { events } = await ask(`api/log?limit=${LOG_FIRST}`, signal);
	const oldest = Number(events.at(-1)?.seq);
	if (last > 0 && oldest > last + 1)
		gap_came({ from: last + 1, to: oldest - 1 });
	if (last === 0)
		model.log.complete = events.length < LOG_FIRST;
	add_newer(events.reverse());
	add_newer(filling);
	filling = null;
}

/** Older events than those held, when the list is scrolled to its end. */
export async function ask_older() {
	const { log } = model;
	if (log.complete || log.asking || filling || log.oldest <= 1 || model.link.state !== 'live')
		return;
	log.asking = true;
	try {
		const older = await ask(`api/log?before=${log.oldest}&limit=${LOG_FIRST}`);
		log.add_older(older.events.map(event_of));
		say('log', []);
	} catch {
		log.complete = true; // not worth a second try before the next link
	} finally {
		log.asking = false;
	}
}

async function attempt() {
	clearTimeout(timer);
	timer = 0;
	abort?.abort();
	const mine = new AbortController();
	abort = mine;
	let since = 0;
	set_link(model.status ? 'reconnecting' : 'connecting');
	heard_ms = Date.now() + ANSWER_MS;
	try {
		await first_look(mine.signal);
		filling = last_id === undefined ? [] : null;
		await read_stream('api/stream', last_id, {
			signal: mine.signal,
			on_event: event_came,
			on_open: () => {
				since = heard_ms = Date.now();
				set_link('live');
				if (filling)
					fill_log(mine.signal).catch(() => mine.abort());
			},
		});
	} catch (error) {
		if (abort !== mine)
			return; // another attempt has taken over
		if (error.status === 401) {
			abort = null;
			set_link('login');
			say('login');
			return;
		}
		model.link.why = error.word === 'host' || error.word === 'origin' ? error.word : '';
	}
	if (abort === mine)
		lost(since);
}

function lost(since) {
	abort = null;
	if (since && Date.now() - since > STEADY_MS)
		wait_ms = FIRST_WAIT_MS;
	if (document.hidden) {
		set_link('asleep');
		return;
	}
	const wait = wait_ms * (0.8 + 0.4 * Math.random()); // so that a room full of pages spreads out
	wait_ms = Math.min(wait_ms * 2, LONGEST_WAIT_MS);
	set_link('waiting', Date.now() + wait);
	timer = setTimeout(attempt, wait);
}

/** Now, without waiting. */
export function connect() {
	wait_ms = FIRST_WAIT_MS;
	attempt();
}

/** Once a second while the page is seen: a stream that went silent is given up. */
export function watch_silence() {
	if (model.link.state === 'live' && Date.now() - heard_ms > SILENCE_MS) {
		abort.abort();
		lost(0);
	}
}

/** The token becomes a cookie. Returns the status and the word of a refusal; 0 when nobody answers. */
export async function log_in(token) {
	try {
		const response = await fetch('api/login', { method: 'POST', body: token,
			signal: AbortSignal.timeout(ANSWER_MS), headers: { 'Content-Type': 'text/plain' } });
		return response.ok ? { status: response.status, word: '' } : await refusal(response);
	} catch {
		return { status: 0, word: '' };
	}
}

document.addEventListener('visibilitychange', () => {
	if (document.hidden && timer) {
		clearTimeout(timer);
		timer = 0;
		set_link('asleep');
	} else if (!document.hidden) {
		heard_ms = Math.max(heard_ms, Date.now() - SILENCE_MS / 2); // what was held back comes now
		if (model.link.state === 'asleep')
			connect();
	}
});
