/** Texts of the preferences, by language. */

const en = {
  prefPause: 'Pause messages',
  prefPauseHint: 'New notifications still appear in the inbox.',
  prefOff: 'Off',
  prefHour: 'For an hour',
  prefTomorrow: 'Until tomorrow',
  prefWeek: 'For a week',
  prefAlways: 'Until I turn it off',
  /** @type {(when: string) => string} */
  prefUntil: (when) => `Until ${when}`,
  prefPush: 'Push messages in this browser',
  prefPushHint: 'Also while no page is open.',
  prefTypes: 'How you are notified',
  prefAll: 'All notifications',
  prefOther: 'Other notifications',
  prefEvery: 'All channels',
  inbox: 'Inbox',
  email: 'E-mail',
  sms: 'SMS',
  push: 'Push',
  chat: 'Chat',
  /** @type {(channels: string) => string} */
  prefRequired: (channels) => `Always on: ${channels}.`,
  prefDigest: 'E-mails',
  instant: 'immediately',
  hourly: 'every hour',
  daily: 'every day',
  weekly: 'every week',
  prefDigestAt: 'Collected e-mails at',
  prefQuiet: 'Quiet hours',
  prefQuietHint: 'Messages wait until they end, except urgent ones.',
  prefFrom: 'From',
  prefTo: 'To',
  prefSaved: 'Saved',
};

/** @typedef {typeof en} PreferencesTexts */

/** @type {Record<string, PreferencesTexts>} */
const LANGUAGES = {
  en,
  de: {
    prefPause: 'Nachrichten anhalten', prefPauseHint: 'Neue Mitteilungen erscheinen weiterhin im Eingang.', prefOff: 'Aus', prefHour: 'Eine Stunde lang',
    prefTomorrow: 'Bis morgen', prefWeek: 'Eine Woche lang', prefAlways: 'Bis ich es ausschalte', prefUntil: (when) => `Bis ${when}`, prefPush: 'Push-Nachrichten in diesem Browser', prefPushHint: 'Auch wenn keine Seite offen ist.',
    prefTypes: 'Wie du benachrichtigt wirst', prefAll: 'Alle Mitteilungen', prefOther: 'Andere Mitteilungen', prefEvery: 'Alle Kanäle', inbox: 'Eingang',
    email: 'E-Mail', sms: 'SMS', push: 'Push', chat: 'Chat', prefRequired: (channels) => `Immer an: ${channels}.`, prefDigest: 'E-Mails', instant: 'sofort',
    hourly: 'stündlich', daily: 'täglich', weekly: 'wöchentlich', prefDigestAt: 'Gesammelte E-Mails um', prefQuiet: 'Ruhezeiten', prefQuietHint: 'Nachrichten warten bis zu ihrem Ende, außer dringende.',
    prefFrom: 'Von', prefTo: 'Bis', prefSaved: 'Gespeichert',
  },
  fr: {
    prefPause: 'Suspendre les messages', prefPauseHint: 'Les nouvelles notifications apparaissent toujours dans la boîte.', prefOff: 'Non', prefHour: 'Pendant une heure',
    prefTomorrow: 'Jusqu’à demain', prefWeek: 'Pendant une semaine', prefAlways: 'Jusqu’à nouvel ordre', prefUntil: (when) => `Jusqu’à : ${when}`, prefPush: 'Messages push dans ce navigateur', prefPushHint: 'Même si aucune page n’est ouverte.',
    prefTypes: 'Comment vous êtes averti', prefAll: 'Toutes les notifications', prefOther: 'Autres notifications', prefEvery: 'Tous les canaux', inbox: 'Boîte',
    email: 'E-mail', sms: 'SMS', push: 'Push', chat: 'Chat', prefRequired: (channels) => `Toujours actif : ${channels}.`, prefDigest: 'E-mails', instant: 'aussitôt',
    hourly: 'chaque heure', daily: 'chaque jour', weekly: 'chaque semaine', prefDigestAt: 'E-mails groupés à', prefQuiet: 'Heures calmes', prefQuietHint: 'Les messages attendent leur fin, sauf les urgents.',
    prefFrom: 'De', prefTo: 'À', prefSaved: 'Enregistré',
  },
  es: {
    prefPause: 'Pausar mensajes', prefPauseHint: 'Las notificaciones nuevas siguen apareciendo en la bandeja.', prefOff: 'No', prefHour: 'Durante una hora',
    prefTomorrow: 'Hasta mañana', prefWeek: 'Durante una semana', prefAlways: 'Hasta que lo desactive', prefUntil: (when) => `Hasta: ${when}`, prefPush: 'Mensajes push en este navegador', prefPushHint: 'También sin ninguna página abierta.',
    prefTypes: 'Cómo recibes los avisos', prefAll: 'Todas las notificaciones', prefOther: 'Otras notificaciones', prefEvery: 'Todos los canales', inbox: 'Bandeja',
    email: 'Correo', sms: 'SMS', push: 'Push', chat: 'Chat', prefRequired: (channels) => `Siempre activo: ${channels}.`, prefDigest: 'Correos', instant: 'al momento',
    hourly: 'cada hora', daily: 'cada día', weekly: 'cada semana', prefDigestAt: 'Correos agrupados a las', prefQuiet: 'Horas de silencio', prefQuietHint: 'Los mensajes esperan hasta que acaben, salvo los urgentes.',
    prefFrom: 'De', prefTo: 'A', prefSaved: 'Guardado',
  },
  ar: {
    prefPause: 'إيقاف الرسائل مؤقتًا', prefPauseHint: 'تستمر الإشعارات الجديدة في الظهور في الوارد.', prefOff: 'لا', prefHour: 'لمدة ساعة',
    prefTomorrow: 'حتى الغد', prefWeek: 'لمدة أسبوع', prefAlways: 'حتى أوقف ذلك', prefUntil: (when) => `حتى ${when}`, prefPush: 'رسائل الدفع في هذا المتصفح', prefPushHint: 'حتى عندما لا تكون أي صفحة مفتوحة.',
    prefTypes: 'كيف تصلك الإشعارات', prefAll: 'كل الإشعارات', prefOther: 'إشعارات أخرى', prefEvery: 'كل القنوات', inbox: 'الوارد',
    email: 'البريد', sms: 'رسالة نصية', push: 'دفع', chat: 'دردشة', prefRequired: (channels) => `مفعّل دائمًا: ${channels}.`, prefDigest: 'البريد', instant: 'فورًا',
    hourly: 'كل ساعة', daily: 'كل يوم', weekly: 'كل أسبوع', prefDigestAt: 'البريد المجمّع في', prefQuiet: 'ساعات الهدوء', prefQuietHint: 'تنتظر الرسائل حتى انتهائها، إلا العاجلة.',
    prefFrom: 'من', prefTo: 'إلى', prefSaved: 'تم الحفظ',
  },
};

/** @param {import('./messages.js').Texts} texts */
export const preferencesTexts = (texts) => ({ ...en, ...LANGUAGES[texts.lang.split('-')[0] ?? ''], ...texts });
