// The bar on top: which daemon, since when, whether it still speaks; what was lost.

import { by_id, put } from './dom.js';
import { clock, count, duration, visible } from './format.js';
import { t } from './lang.js';
import { connect } from './link.js';
import { daemon_now, model } from './model.js';
import { painter } from './paint.js';

const LOST_MS = 5000; // until then it is only reconnecting

function link_text() {
	const { state, since, retry_at, why } = model.link;
	const s = Math.max(1, Math.ceil((retry_at - Date.now()) / 1000));
	const is_lost = since > 0 && Date.now() - since > LOST_MS;
	if (why && state !== 'live')
		return t(`refused.${why}`);
	if (state === 'waiting')
		return is_lost ? t('link.lost.waiting', { time: clock(since), s })
			: t('link.waiting', { s });
	if (state === 'reconnecting' && is_lost)
		return t('link.lost', { time: clock(since) });
	return t(`link.${state}`);
}

function paint_link() {
	const { state } = model.link;
	document.body.dataset.link = state;
	put(by_id('link-text'), link_text());
	by_id('retry').hidden = state !== 'waiting';
	const host = model.status ? `${visible(model.status.host)} · prise` : 'prise';
	document.title = state === 'live' || !model.status ? host : `✕ ${host}`;
}

function paint_lost(id, n) {
	const element = by_id(id);
	element.hidden = !n;
	element.title = t(`${id}.why`);
	put(element.querySelector('dd'), count(n));
}

function paint_status() {
	const { status } = model;
	if (!status)
		return;
	put(by_id('host'), visible(status.host));
	put(by_id('version'), visible(status.version));
	put(by_id('uptime'), duration(daemon_now() - Date.parse(status.started)));
	by_id('uptime').title = new Date(status.started).toLocaleString();
	paint_lost('dropped', Number(status.events.dropped));
	paint_lost('missed', model.missed);
}

export function build_bar() {
	painter('link', paint_link);
	painter('status', paint_status);
	by_id('retry').addEventListener('click', connect);
}
