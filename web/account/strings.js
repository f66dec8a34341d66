// Every word of the account's page, in the languages of the chat page.

import { locale } from '../strings.js';

export const words = {
	en: {
		signIn: 'Sign in',
		signUp: 'Create an account',
		toSignUp: 'I have no account yet',
		toSignIn: 'I have an account',
		asGuest: 'Come in as a guest',
		name: 'Name',
		password: 'Password',
		passwordRule: 'At least 8 characters. Longer is better; anything may be in it.',
		toRooms: 'To the rooms',
		signOut: 'Sign out',
		signOutOthers: 'Sign out everywhere else',
		sessions: 'Where you are signed in',
		sessionsHint: 'Whatever you do not know, sign out: it is disconnected at once.',
		here: 'here',
		lastUsed: (when, where) => `last used ${when}${where ? `, from ${where}` : ''}`,
		revoke: 'Sign out',
		revokeOf: (what) => `Sign out: ${what}`,
		revoked: (what) => `Signed out: ${what}.`,
		unknown: 'an unknown program',
		changePassword: 'Change your password',
		oldPassword: 'Password until now',
		newPassword: 'New password',
		change: 'Change',
		changed: 'Your password is changed, and everywhere else you are signed out.',
		signedOut: 'You are signed out.',
		away: 'The chat cannot be reached now. Please try again.',
		errors: {
			unauthorized: 'Name and password do not match.',
			name_taken: 'This name is somebody’s already.',
			invalid_name: 'The name is not allowed.',
			rate_limited: 'Too many tries. Please wait a little.',
			unavailable: 'That cannot be done now. Please try again.',
		},
	},
	es: {
		signIn: 'Iniciar sesión',
		signUp: 'Crear una cuenta',
		toSignUp: 'Todavía no tengo cuenta',
		toSignIn: 'Ya tengo cuenta',
		asGuest: 'Entrar como invitado',
		name: 'Nombre',
		password: 'Contraseña',
		passwordRule: 'Al menos 8 caracteres. Cuanto más larga, mejor; puede llevar cualquier cosa.',
		toRooms: 'A las salas',
		signOut: 'Cerrar sesión',
		signOutOthers: 'Cerrar las demás sesiones',
		sessions: 'Dónde tienes la sesión abierta',
		sessionsHint: 'Cierra lo que no conozcas: se desconecta al instante.',
		here: 'aquí',
		lastUsed: (when, where) => `usada por última vez ${when}${where ? `, desde ${where}` : ''}`,
		revoke: 'Cerrar',
		revokeOf: (what) => `Cerrar: ${what}`,
		revoked: (what) => `Sesión cerrada: ${what}.`,
		unknown: 'un programa desconocido',
		changePassword: 'Cambiar la contraseña',
		oldPassword: 'Contraseña hasta ahora',
		newPassword: 'Contraseña nueva',
		change: 'Cambiar',
		changed: 'Contraseña cambiada; las demás sesiones quedan cerradas.',
		signedOut: 'Has cerrado la sesión.',
		away: 'Ahora no se puede llegar al chat. Inténtalo de nuevo.',
		errors: {
			unauthorized: 'El nombre y la contraseña no coinciden.',
			name_taken: 'Ese nombre ya es de alguien.',
			invalid_name: 'El nombre no vale.',
			rate_limited: 'Demasiados intentos. Espera un poco.',
			unavailable: 'Ahora no es posible. Inténtalo de nuevo.',
		},
	},
};

export const say = words[locale.slice(0, 2)];

const relative = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' });
const STEPS = [['day', 86_400], ['hour', 3_600], ['minute', 60]];

/** “3 hours ago”. */
export function ago(moment) {
	const seconds = (new Date(moment) - Date.now()) / 1000;
	const [unit, size] = STEPS.find(([, size]) => -seconds >= size) ?? ['minute', Infinity];
	return relative.format(Math.ceil(seconds / size) || 0, unit);
}
