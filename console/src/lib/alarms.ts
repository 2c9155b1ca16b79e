/** The filter of alarms that still need somebody. */
export const ALARMS_OPEN = 'open = true and acknowledged_by = ""';

export const ALARM_KINDS = ["agent_silent", "agent_killed", "file_changed", "sensor_detached"] as const;
