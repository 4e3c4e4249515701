/**
 * Properties that only this package's own modules use. The build replaces each with a short name, the same in every file, so descriptive names cost
 * no bytes. A name that pages can use, that a browser or React defines, or that is stored or sent to the server must not be listed.
 */
export const INTERNAL_NAMES = [
  'abortSignal', 'becomeFollower', 'becomeLeader', 'cancelTimers', 'changeTopics', 'claimAlerts', 'claims', 'confirmed', 'coordinator', 'createError',
  'credential', 'deliver', 'dropConfirmed', 'election', 'emitCancelable', 'generation', 'greeting', 'isConfirmed', 'isDeferred',
  'isInUse', 'isLeader', 'isLive', 'isQueued', 'isSent', 'isStored', 'lastEvent', 'lastHeardAt', 'loadPresence', 'markSeen', 'markStale', 'notConnected', 'onChange', 'onClose',
  'onDial', 'onDisconnected', 'onError', 'onEvent', 'onMoved', 'onPresence', 'onReady', 'onRefused', 'onStatusChange', 'openNotification', 'prepare', 'queuedCount', 'refresh', 'rejectAll',
  'renderNow', 'reopen', 'restore', 'restoreActions', 'runExclusively', 'saveAll', 'setScope', 'sharingKey', 'suspend', 'tabBar', 'twoWay', 'withPending',
];
