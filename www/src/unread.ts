// What media-chrome would read off the video at each of its steps for controls that are not here. Comes before them.

import { stateMediator } from "media-chrome/dist/media-store/state-mediator.js";

/** Each step of these was told to all controls, and had the page drawn anew, seven times a second. */
const UNREAD = ["mediaCurrentTime", "mediaBuffered", "mediaSeekable", "mediaDuration"] as const;

for (const state of UNREAD) stateMediator[state].mediaEvents = [];
