/**
 * Cron expressions in words.
 */
const WEEKDAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday'];
const weekdayOf = (name) => WEEKDAYS[/^[0-7]$/.test(name) ? name : WEEKDAYS.findIndex((one) => one.slice(0, 3).toLowerCase() === name)];

/** A cron expression in words, such as "Monday to Friday at 18:30"; itself if it has no short ones. */
export function cronText(cron) {
  const [minute, hour, day, month, weekday] = cron.trim().toLowerCase().split(/\s+/);
  if (!/^\d+$/.test(minute) || !/^\d+$/.test(hour) || month !== '*') return cron;
  const at = `at ${hour.padStart(2, '0')}:${minute.padStart(2, '0')}`;
  if (weekday === '*') return day === '*' ? `Every day ${at}` : /^\d+$/.test(day) ? `Monthly on day ${day} ${at}` : cron;
  const days = weekday.split('-').map(weekdayOf);
  if (day !== '*' || days.length > 2 || !days.every(Boolean)) return cron;
  return `${days.length === 1 ? `Every ${days[0]}` : days.join(' to ')} ${at}`;
}
