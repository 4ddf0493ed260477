"""Models, distillation methods, data and training: what runs inside a job."""
