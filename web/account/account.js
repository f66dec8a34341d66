// The account's page: sign in, sign up, sign out, and where one is signed in. The session is a cookie that scripts cannot read.

import { me, remember } from '../store.js';
import { locale } from '../strings.js';
import { ago, say } from './strings.js';

const $ = (id) => document.getElementById(id);

let isNew = false; // whether the form makes an account

document.documentElement.lang = locale;
for (const node of document.querySelectorAll('[data-say]')) node.textContent = say[node.dataset.say];

/** Asks the node; an answer that is an error is thrown, with its `code`. */
async function ask(method, path, body) {
	const answer = await fetch(`/api/v1${path}`, {
		method,
		...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
	}).catch(() => null);
	if (!answer) throw new Error(say.away);
	const said = answer.status === 204 ? null : await answer.json().catch(() => null);
	if (!answer.ok) throw Object.assign(new Error(say.errors[said?.code] ?? said?.detail ?? say.away), { status: answer.status });
	return said;
}

// ---- a stranger ----

function showStranger(words = '') {
	$('member').hidden = true;
	$('stranger').hidden = false;
	$('notice').textContent = words;
	$('stranger-title').textContent = $('go').textContent = isNew ? say.signUp : say.signIn;
	$('other-way').textContent = isNew ? say.toSignIn : say.toSignUp;
	$('password-hint').textContent = isNew ? say.passwordRule : '';
	$('password').autocomplete = isNew ? 'new-password' : 'current-password';
	$('password').minLength = isNew ? 8 : 0;
	$('problem').textContent = '';
	$('name').focus();
}

$('other-way').onclick = () => {
	isNew = !isNew;
	showStranger();
};

$('credentials').onsubmit = async (event) => {
	event.preventDefault();
	const [name, password] = [$('name').value.trim(), $('password').value];
	$('problem').textContent = '';
	$('go').disabled = true;
	try {
		const { user } = await ask('POST', isNew ? '/accounts' : '/sessions', { name, password, cookie: true });
		remember({ name: user.name, account: true });
		location.assign('/');
	} catch ({ message }) {
		$('problem').textContent = message;
		$('password').select();
	} finally {
		$('go').disabled = false;
	}
};

// ---- a member ----

async function show() {
	const { name } = await ask('GET', '/accounts/me');
	remember({ name, account: true });
	$('stranger').hidden = true;
	$('member').hidden = false;
	$('who').textContent = name;
	$('initial').textContent = [...name][0].toLocaleUpperCase();
	await showSessions();
}

async function showSessions() {
	const { sessions } = await ask('GET', '/sessions');
	sessions.sort((a, b) => b.current - a.current || new Date(b.used_at) - new Date(a.used_at));
	$('sessions').replaceChildren(...sessions.map(row));
	$('others-out').hidden = sessions.length < 2;
}

function row({ id, agent, address, used_at, current }) {
	const what = program(agent);
	const [line, title, more] = [make('li'), make('strong', what), make('p', say.lastUsed(ago(used_at), address))];
	more.className = 'hint';
	line.append(title, more);
	if (current) {
		title.append(` · ${say.here}`);
	} else {
		const revoke = make('button', say.revoke);
		revoke.ariaLabel = say.revokeOf(what);
		revoke.onclick = () => attempt(async () => {
			await ask('DELETE', `/sessions/${id}`);
			await showSessions();
			return say.revoked(what);
		});
		line.append(revoke);
	}
	return line;
}

function make(tag, words = '') {
	const node = document.createElement(tag);
	node.textContent = words;
	return node;
}

/** “Firefox, Linux”, of what a browser says of itself; else its first word. */
function program(agent) {
	const first = (...names) => names.find((name) => agent?.includes(name));
	const browser = first('Edg', 'OPR', 'Firefox', 'Chrome', 'Safari');
	const system = first('Android', 'iPhone', 'iPad', 'Windows', 'Mac OS', 'Linux');
	const name = { Edg: 'Edge', OPR: 'Opera' }[browser] ?? browser ?? agent?.split(/[/ ]/)[0];
	return [name || say.unknown, system].filter(Boolean).join(', ');
}

/** Does something, and tells in a sentence how it went. */
async function attempt(something) {
	try {
		$('notice').textContent = (await something()) ?? '';
	} catch (error) {
		if (error.status === 401) return leave();
		$('notice').textContent = error.message;
	}
	return undefined;
}

function leave() {
	ask('DELETE', '/sessions/current').catch(() => {}); // the cookie goes, too
	remember({});
	showStranger(say.signedOut);
}

$('sign-out').onclick = () => attempt(async () => {
	leave();
	return say.signedOut;
});

$('others-out').onclick = () => attempt(async () => {
	const { sessions } = await ask('GET', '/sessions');
	for (const { id, current } of sessions) if (!current) await ask('DELETE', `/sessions/${id}`);
	await showSessions();
});

$('new-password').onsubmit = (event) => {
	event.preventDefault();
	attempt(async () => {
		await ask('PUT', '/accounts/me/password', { before: $('old').value, after: $('new').value });
		$('new-password').reset();
		await showSessions();
		return say.changed;
	});
};

if (me().account) show().catch(({ status, message }) => (status === 401 ? leave() : showStranger(message)));
else showStranger();
